"""Clones of a study's repository for tests of sharing: hand-made artifacts, real git and DVC, no Snakemake."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from servers import Remote

from fairshrink import keys
from fairshrink.remote import pointers, restoring
from fairshrink.store import artifacts

FOLDERS = ("data", "results/compressed", "results/scores/ckpt-0123456789ab")
ROOT = Path(__file__).parents[2]
IGNORES = [".dvc/.gitignore", ".dvcignore", ".gitignore", "data/.gitignore", "results/.gitignore"]
IGNORES += [f"results/{each}/.gitignore" for each in ("baselines", "compressed", "scores", "published")]
TOKENIZER = b"the same for every checkpoint" * 9


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment without settings of DVC, git or AWS."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC", "GIT", "AWS"))}
    done = subprocess.run(
        command, cwd=folder, env=environment | {"DVC_NO_ANALYTICS": "1"}, capture_output=True, text=True
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done


def git(folder: Path, *arguments: str) -> str:
    """Run git with a user name."""
    user = ("-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    return run(folder, "git", *user, *arguments).stdout


def dvc(folder: Path, *arguments: str) -> str:
    """Run DVC's own command."""
    return run(folder, sys.executable, "-m", "dvc", *arguments).stdout


def start(folder: Path) -> Path:
    """A git repository with DVC and this project's ignore files; ``origin.git`` is next to it."""
    for name in [*IGNORES, ".dvc/config"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    git(folder.parent, "clone", "-q", "--bare", str(folder), "origin.git")
    git(folder, "remote", "add", "origin", "../origin.git")
    git(folder, "fetch", "-q")
    git(folder, "branch", "-q", "-u", "origin/main")
    return folder


def clone(source: Path, name: str) -> Path:
    """A fresh clone of a repository's origin, next to it, with the same DVC remote and no artifacts."""
    folder = source.with_name(name)
    git(source.parent, "clone", "-q", "origin.git", name)
    if (source / ".dvc/config.local").exists():
        shutil.copy(source / ".dvc/config.local", folder / ".dvc/config.local")
    return folder


def configure(folder: Path, remote: Remote, **more: object) -> None:
    """Make ``remote`` the default remote of a clone."""
    lines = ["[core]", "    remote = storage", "['remote \"storage\"']", f"    url = {remote.url}"]
    lines += [f"    {name} = {value}" for name, value in (remote.options | more).items()]
    (folder / ".dvc/config.local").write_text("\n".join(lines) + "\n")


def make(root: Path, parent: str, name: str, files: dict[str, bytes] | None = None, machine: str = "") -> str:
    """Make an artifact whose folder's name ends with its key, recorded as made on ``machine``; returns its path."""
    parts = {"stage": "compress", "code": {}, "params": {"of": f"{parent}/{name}"}, "inputs": {}}
    key = keys.key(**parts)
    path = f"{parent}/{name}-{key}"
    content = {"model.bin": f"weights of {name}".encode() * 40, "sub/tokenizer.json": TOKENIZER, "empty": b""}

    def fill(folder: Path) -> dict:
        for file, data in (content if files is None else files).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
        return {"machine": machine}

    artifacts.make(artifacts.Recipe("compress", name, key, str(root / path), parts), fill)
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Every file of an artifact."""
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def objects(folder: Path) -> dict[str, int]:
    """Names and sizes of the objects of an artifact, computed from its files: their MD5s, and that of their list."""
    found = {name: hashlib.md5(data).hexdigest() for name, data in content(folder).items()}
    listed = json.dumps([{"md5": md5, "relpath": name} for name, md5 in sorted(found.items())]).encode()
    sizes = {found[name]: len(data) for name, data in content(folder).items()}
    return sizes | {hashlib.md5(listed).hexdigest() + ".dir": len(listed)}


def cached(root: Path) -> dict[str, bytes]:
    """Every object of a clone's cache; unfinished files of transfers are not objects."""
    found = [each for each in root.glob(".dvc/cache/files/md5/??/*") if len(each.name) in (30, 34)]
    return {each.parent.name + each.name: each.read_bytes() for each in found}


def names_match_bytes(store: dict[str, bytes]) -> bool:
    """Whether every object's name is the MD5 of its bytes."""
    return all(hashlib.md5(data).hexdigest() == name.removesuffix(".dir") for name, data in store.items())


def commit(root: Path) -> None:
    """What a user does after sharing: commit the pointers, pull and push."""
    git(root, "add", "data", "results")
    git(root, "commit", "-q", "-m", "artifacts")
    git(root, "pull", "-q", "--no-rebase", "--no-edit")
    git(root, "push", "-q")


def fetch(root: Path, paths: list[str], policy: str = "required") -> set[str]:
    """Restore those of some artifacts that are available, as a run does; returns their paths."""
    missing = {path for path in paths if not artifacts.exists(root / path)}
    found = restoring.finder(policy, root)(missing)
    restoring.restore(sorted(found), root)
    return found


def pointers_of(root: Path) -> list[str]:
    """Paths of all recorded artifacts."""
    return list(pointers.recorded(root))
