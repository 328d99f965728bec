"""One run at a time in one folder: a lock that is released when its process ends, in whatever way.

Snakemake's own lock outlives a killed run and then has to be removed by hand; this one belongs to the kernel (`flock`),
so the next run can start at once after a run was killed with -9. It also works between machines that share the folder
over NFS 4.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from pathlib import Path
from typing import IO

from fairshrink.errors import UserError

FILE = Path(".snakemake/fairshrink/run.lock")
_held: dict[Path, IO[str]] = {}


def acquire(root: Path = Path()) -> None:
    """Take the lock until this process ends. Raises UserError, naming the holder, if another run has it."""
    path = (root / FILE).resolve()
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = _read_holder(stream)
        stream.close()
        raise UserError(
            f"{path.parents[2]}: another run is active here ({other}). Nothing was started. Wait for it to end, "
            "or use another clone: finished artifacts can be shared between clones through DVC."
        ) from None
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    stream.flush()
    _held[path] = stream


def release(root: Path = Path()) -> None:
    """Release the lock before the process ends; does nothing if it is not held."""
    stream = _held.pop((root / FILE).resolve(), None)
    if stream is not None:
        stream.close()


def holder(root: Path = Path()) -> str | None:
    """The process that holds the lock (process, machine, time); None if no other process does."""
    path = (root / FILE).resolve()
    if path in _held or not path.is_file():
        return None
    with path.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(stream)
    return None


def _read_holder(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read().strip() or "just starting"
