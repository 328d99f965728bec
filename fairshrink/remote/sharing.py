"""Sharing artifacts: what has a DVC pointer and is intact in DVC's cache is uploaded to its default remote.

Only objects that the remote lacks are uploaded. The pointers say which bytes belong to which artifact; they are shared
through git.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fairshrink.errors import UserError
from fairshrink.remote import pointers
from fairshrink.remote.remote_store import NO_REMOTE, UnreachableError
from fairshrink.remote.storage import Storage, pointer_object

MAX_LISTED = 10
SET_UP = "`dvc remote add -d storage URL` sets one up: a folder, ssh://user@host/folder or s3://bucket/folder"


@dataclass(frozen=True)
class Shared:
    """The result of a call of `share`; lists of paths of artifacts and pointers."""

    remote: str
    recorded: int
    artifacts: list[str]
    """Those of which objects were uploaded."""
    objects: int
    size: int
    """Bytes uploaded."""
    unavailable: list[str]
    """Recorded, but with objects that are neither in the cache nor in the remote."""
    damaged: list[str]
    """Those among them with damaged objects in the cache, which have been removed from it."""
    unrecorded: list[str]
    """Those of the study that exist in this clone and could not be recorded."""
    uncommitted: list[str]
    """Pointers that are new or changed since the last git commit."""


def share(paths: Iterable[str], root: Path = Path()) -> Shared:
    """Upload every recorded artifact that is intact in this clone, after recording those of ``paths`` that exist in it.

    Raises UserError if the remote is not configured, does not respond or rejects an upload. Objects that have arrived
    are kept there, and no ``.dir`` object arrives before its files, so that calling again continues from there.
    """
    if not (root / ".dvc").is_dir():
        raise UserError(f"{root.resolve()}: not a DVC repository; `dvc init` makes it one. {SET_UP}.")
    study = set(paths)
    pointers.announce(pointers.record(study, root=root))
    wanted = {path: pointer_object(pointer) for path, pointer in pointers.recorded(root).items()}
    storage = Storage(root)
    try:
        remote = storage.remote  # also where nothing is recorded yet, so that nothing is asked of it
        found = _survey(storage, wanted)
        size = sum(storage.size(each) or 0 for each in found.to_upload)
        storage.upload(found.to_upload)
        unsent = storage.missing_in_remote(found.to_upload)
    except UnreachableError as error:
        remedy = SET_UP if str(error) == NO_REMOTE else f"`dvc remote list` shows what is configured. {SET_UP}"
        raise UserError(f"{error}. {remedy}. What has arrived stays there; call again to continue.") from error
    if unsent:
        raise UserError(
            f"{remote.name}: {len(unsent)} of {len(found.to_upload)} objects are missing there or incomplete "
            f"although the upload reported no error, e.g. {remote.address(min(unsent))}. Call again."
        )
    return Shared(
        remote=remote.name,
        recorded=len(wanted),
        artifacts=found.artifacts,
        objects=len(found.to_upload),
        size=size,
        unavailable=found.unavailable,
        damaged=found.damaged,
        unrecorded=pointers.unrecorded(study, root),
        uncommitted=uncommitted(root),
    )


class _Found(NamedTuple):
    """Objects to upload, their artifacts, and the fields ``unavailable`` and ``damaged`` of `Shared`."""

    to_upload: set[str]
    artifacts: list[str]
    unavailable: list[str]
    damaged: list[str]


def _survey(storage: Storage, wanted: dict[str, str]) -> _Found:
    """What is to be uploaded of artifacts by path with their ``.dir`` objects, by one query to the remote."""
    lists = storage.in_cache(wanted.values())
    objects = {path: {name, *(storage.files(name).values() if name in lists else ())} for path, name in wanted.items()}
    every = set().union(*objects.values())
    cached = lists | storage.in_cache(every - lists)
    missing = storage.missing_in_remote(every, recheck=every - cached)
    damaged = storage.damaged(missing & cached)
    storage.drop(damaged)
    lost = damaged | (missing - cached)
    unavailable = [path for path in wanted if objects[path] & lost]
    artifacts = [path for path in wanted if objects[path] & missing and not objects[path] & lost]
    to_upload = missing & set().union(*(objects[path] for path in artifacts))
    return _Found(to_upload, artifacts, unavailable, [path for path in unavailable if objects[path] & damaged])


def uncommitted(root: Path = Path()) -> list[str]:
    """Pointers that are new or changed since the last git commit, sorted; none outside of a git repository."""
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "*.dvc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    except OSError:
        return []
    return sorted(line[3:] for line in done.stdout.split("\0") if line) if done.returncode == 0 else []


def report(done: Shared) -> str:
    """The result of a call of `share` as text for people."""
    lines = [
        f"{done.remote}: uploaded {done.objects} objects ({done.size:,} bytes) of {len(done.artifacts)} artifacts; "
        f"{done.recorded - len(done.unavailable)} of {done.recorded} recorded artifacts are there."
    ]
    lines += _listed(
        [each for each in done.unavailable if each not in done.damaged],
        "recorded artifacts are neither in DVC's cache here nor in the remote. Share them from a clone that has them; "
        "if the folder exists here, `dvc add FOLDER` adds it to the cache again",
    )
    lines += _listed(
        done.damaged,
        "artifacts are damaged in DVC's cache here and not in the remote, so they were not uploaded. Delete the folder "
        "and its pointer (`rm -r FOLDER FOLDER.dvc`); the next run computes it",
    )
    lines += _listed(done.unrecorded, "artifacts could not be recorded (see above), so they were not uploaded")
    if done.uncommitted:
        lines += _listed(done.uncommitted, "pointers have to be committed, so that others can restore these artifacts")
        lines.append("  git add data results && git commit -m 'New artifacts' && git push")
    else:
        lines.append("All pointers are committed; `git push` shares them.")
    return "\n".join(lines)


def _listed(paths: list[str], what: str) -> list[str]:
    if not paths:
        return []
    more = [f"  … and {len(paths) - MAX_LISTED} more"] if len(paths) > MAX_LISTED else []
    return [f"{len(paths)} {what}:", *(f"  {each}" for each in paths[:MAX_LISTED]), *more]
