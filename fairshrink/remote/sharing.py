"""Giving artifacts to others: what is recorded by a DVC pointer and whole in DVC's cache goes to its default remote.

Only what is missing there is sent. The pointers say which bytes belong to which artifact; they travel by git.
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

SHOWN = 10
SET_UP = "`dvc remote add -d storage URL` sets one up: a folder, ssh://user@host/folder or s3://bucket/folder"


@dataclass(frozen=True)
class Shared:
    """What a call of `share` did and found; paths of artifacts and pointers."""

    remote: str
    recorded: int
    artifacts: list[str]
    """Those of which something was sent."""
    objects: int
    size: int
    """Bytes sent."""
    nowhere: list[str]
    """Recorded, but with objects that are neither here nor there."""
    damaged: list[str]
    """Those among them whose copy here has other bytes than recorded; the bad objects are removed from the cache."""
    unrecorded: list[str]
    """Those of the study that stand here and could not be recorded."""
    uncommitted: list[str]
    """Pointers that git does not know or knows with other content."""


def share(paths: Iterable[str], root: Path = Path()) -> Shared:
    """Upload every recorded artifact that is whole here, after recording those of ``paths`` that stand here.

    Raises UserError where the remote is not set up, does not answer or does not take what is sent. Objects that had
    arrived stay there, and no ``.dir`` object arrives before its files: calling again goes on from there.
    """
    if not (root / ".dvc").is_dir():
        raise UserError(f"{root.resolve()}: not a DVC repository; `dvc init` makes it one. {SET_UP}.")
    study = set(paths)
    pointers.record(study, root=root)
    wanted = {path: pointer_object(pointer) for path, pointer in pointers.recorded(root).items()}
    storage = Storage(root)
    try:
        found = _survey(storage, wanted)
        size = sum(storage.size(each) or 0 for each in found.lacking)
        storage.send(found.lacking)
        unsent = storage.lacking(found.lacking)
    except UnreachableError as error:
        remedy = SET_UP if str(error) == NO_REMOTE else f"`dvc remote list` shows what is set up. {SET_UP}"
        raise UserError(f"{error}. {remedy}. What had arrived stays there; call again to go on.") from error
    if unsent:
        raise UserError(
            f"{storage.remote.name}: {len(unsent)} of {len(found.lacking)} objects are not there in full length "
            f"although the upload ended without an error, e.g. {storage.remote.address(min(unsent))}. Call again."
        )
    return Shared(
        remote=storage.remote.name,
        recorded=len(wanted),
        artifacts=found.sent,
        objects=len(found.lacking),
        size=size,
        nowhere=found.nowhere,
        damaged=found.damaged,
        unrecorded=pointers.unrecorded(study, root),
        uncommitted=uncommitted(root),
    )


class _Found(NamedTuple):
    """Objects to send; of which artifacts they are; the fields ``nowhere`` and ``damaged`` of `Shared`."""

    lacking: set[str]
    sent: list[str]
    nowhere: list[str]
    damaged: list[str]


def _survey(storage: Storage, wanted: dict[str, str]) -> _Found:
    """What is to be done for artifacts by path with their ``.dir`` objects, by one question to the remote."""
    lists = storage.here(wanted.values())
    objects = {path: {name, *(storage.files(name).values() if name in lists else ())} for path, name in wanted.items()}
    every = set().union(*objects.values())
    here = lists | storage.here(every - lists)
    lacking = storage.lacking(every, doubted=every - here)
    bad = storage.damaged(lacking & here)
    storage.drop(bad)
    lost = bad | (lacking - here)
    nowhere = [path for path in wanted if objects[path] & lost]
    sent = [path for path in wanted if objects[path] & lacking and not objects[path] & lost]
    due = lacking & set().union(*(objects[path] for path in sent))
    return _Found(due, sent, nowhere, [path for path in nowhere if objects[path] & bad])


def uncommitted(root: Path = Path()) -> list[str]:
    """Pointers that git does not have as they are, sorted; none where this is no git repository."""
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "*.dvc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    except OSError:
        return []
    return sorted(line[3:] for line in done.stdout.split("\0") if line) if done.returncode == 0 else []


def report(done: Shared) -> str:
    """What a call of `share` has done, for people."""
    lines = [
        f"{done.remote}: sent {done.objects} objects ({done.size:,} bytes) of {len(done.artifacts)} artifacts; "
        f"{done.recorded - len(done.nowhere)} of {done.recorded} recorded artifacts are there."
    ]
    lines += _listed(
        [each for each in done.nowhere if each not in done.damaged],
        "recorded artifacts are neither in DVC's cache here nor in the remote. Whoever has them may share them; where "
        "such a folder stands here, `dvc add FOLDER` puts it into the cache again",
    )
    lines += _listed(
        done.damaged,
        "artifacts are damaged in DVC's cache here and not in the remote, so they were not sent. Delete the folder "
        "and its pointer (`rm -r FOLDER FOLDER.dvc`); the next run makes it",
    )
    lines += _listed(done.unrecorded, "artifacts could not be recorded (see above), so they were not sent")
    if done.uncommitted:
        lines += _listed(done.uncommitted, "pointers have to be committed, so that others know of them")
        lines.append("  git add data results && git commit -m 'New artifacts' && git push")
    else:
        lines.append("All pointers are committed; `git push` takes them to others.")
    return "\n".join(lines)


def _listed(paths: list[str], what: str) -> list[str]:
    if not paths:
        return []
    more = [f"  … and {len(paths) - SHOWN} more"] if len(paths) > SHOWN else []
    return [f"{len(paths)} {what}:", *(f"  {each}" for each in paths[:SHOWN]), *more]
