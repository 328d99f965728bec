"""One run at a time in one folder: a lock that ends with its process, however that ends.

Snakemake's own lock outlives a killed run and then has to be removed by hand; this one is the kernel's (`flock`), so a
run that was killed with -9 is followed by the next one without further ado. It holds between machines that share the
folder over NFS 4 as well.
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
    """Take the lock for the rest of this process. Raises UserError, naming the holder, where another run has it."""
    path = (root / FILE).resolve()
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        described = _described(stream)
        stream.close()
        raise UserError(
            f"{path.parents[2]}: another run is active here ({described}). Nothing was started. Wait for it to end, "
            "or use another clone: finished artifacts can be shared between clones through DVC."
        ) from None
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    stream.flush()
    _held[path] = stream


def release(root: Path = Path()) -> None:
    """Give the lock back before the process ends; nothing happens where it is not held."""
    stream = _held.pop((root / FILE).resolve(), None)
    if stream is not None:
        stream.close()


def holder(root: Path = Path()) -> str | None:
    """Who has the lock (process, machine, time); None where nobody else does."""
    path = (root / FILE).resolve()
    if path in _held or not path.is_file():
        return None
    with path.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _described(stream)
    return None


def _described(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read().strip() or "just starting"
