"""What git knows: the commits at the tips of branches and tags, and their files."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fairshrink.errors import UserError

TIPS = ("refs/heads", "refs/remotes", "refs/tags", "refs/stash", "refs/exps")
"""Branches, remote branches, tags, the stash, DVC's experiments."""


@dataclass(frozen=True)
class Tree:
    """The files of a commit: git's object id by path; ``names`` are the refs that point to it."""

    commit: str
    names: tuple[str, ...]
    files: dict[str, str]


def git(root: Path, *arguments: str, given: bytes | None = None) -> bytes:
    """Output of a git command. Raises UserError with git's own message."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, input=given, capture_output=True)
    except FileNotFoundError as error:
        raise UserError("git is not installed; without it, what other branches need cannot be determined") from error
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace").strip()
        raise UserError(f"{root.resolve()}: git {arguments[0]}: {message}")
    return done.stdout


def working_files(root: Path, *patterns: str) -> list[str]:
    """Files below ``root`` that match a pattern and are not ignored by git, committed or not, sorted."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns)
    names = sorted({name for name in listed.decode().split("\0") if name})
    return [name for name in names if (root / name).is_file()]


def tips(root: Path) -> list[Tree]:
    """Every commit that a branch, a tag or HEAD points to, once."""
    commits: dict[str, list[str]] = {}
    for line in (
        git(root, "for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", *TIPS).decode().split("\n")
    ):
        if line:
            name, kind, ref = line.split(" ", 2)
            commit = name if kind == "commit" else _commit(root, ref)
            if commit:
                commits.setdefault(commit, []).append(ref)
    if head := _commit(root, "HEAD"):
        commits.setdefault(head, []).append("HEAD")
    return [Tree(commit, tuple(names), _files(root, commit)) for commit, names in commits.items()]


def _commit(root: Path, name: str) -> str | None:
    """The commit that a ref points to; None where it points to something else (or is a branch without commits)."""
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    except UserError:
        return None


def _files(root: Path, commit: str) -> dict[str, str]:
    listed = git(root, "ls-tree", "-r", "-z", commit).decode()
    entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
    return {path: fields.split()[2] for fields, _, path in entries if fields.split()[1] == "blob"}


def contents(root: Path, objects: Iterable[str]) -> dict[str, str]:
    """Text of files by git's object id."""
    wanted = sorted(set(objects))
    if not wanted:
        return {}
    stream = io.BytesIO(git(root, "cat-file", "--batch", given="\n".join(wanted).encode() + b"\n"))
    found = {}
    for name in wanted:
        header = stream.readline().split()
        if len(header) != 3:
            raise UserError(f"{root.resolve()}: git has lost the object {name}; `git fsck` says more")
        found[name] = stream.read(int(header[2])).decode(errors="replace")
        stream.read(1)
    return found


def extract(root: Path, commit: str, folder: Path) -> None:
    """Write a commit's files, except DVC pointers, into a folder."""
    packed = git(root, "archive", "--format=tar", commit, "--", ".", ":(exclude)*.dvc")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
