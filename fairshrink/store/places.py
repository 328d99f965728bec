"""Whether a run can write where it has to, said before any job starts."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fairshrink.errors import UserError

RECORDS = ".snakemake"
"""Where plans and records of runs are, Snakemake's own among them."""
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
REMEDY = "Make it writable for this user, or work in a clone of your own (`git clone`) on another disk."


def require_writable(places: Iterable[str], root: Path = Path()) -> None:
    """UserError with those of some folders, which need not exist, that this process may not write into."""
    refused = sorted({str(folder) for each in places if not os.access(folder := _existing(root / each), os.W_OK)})
    if refused:
        raise UserError(f"{', '.join(refused)}: a run writes there, and may not. {REMEDY}")


def require_file(path: Path) -> None:
    """UserError if no file can be written at ``path``: said before the work whose result it is to hold."""
    folder = path.parent
    if path.is_dir():
        raise UserError(f"{path}: it is a folder; name a file")
    if not folder.is_dir():
        there = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{path}: the folder {folder} {there}; make it, or name another file")
    _require_allowed(path if path.exists() else folder)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes ``path`` at the end: a process that is killed leaves no half of a table."""
    place = path.resolve()
    new = place.with_name(f".{place.stem}.{uuid.uuid4().hex[:8]}{place.suffix}")
    try:
        yield new
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def require_folder(path: Path) -> None:
    """UserError if no folder can be made at ``path`` or be written into."""
    nearest = _existing(path)
    if not nearest.is_dir():
        raise UserError(f"{path}: {os.path.relpath(nearest)} is a file, so there can be no folder; name another one")
    _require_allowed(nearest)


def _require_allowed(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise UserError(f"{path}: may not be written. {REMEDY}")


def _existing(folder: Path) -> Path:
    """The folder, or what exists nearest above it."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if each.exists())


def refusal(error: OSError) -> str | None:
    """One line about an error that means that a file may not or cannot be written, or read; None for any other."""
    if error.errno in DISK_FULL:
        named = f"{error.filename}: " if error.filename is not None else ""
        return f"{named}{error.strerror}, so what was to be written is not there. Free some space, or write elsewhere."
    if error.errno not in REFUSED or error.filename is None:
        return None
    return f"{error.filename}: {error.strerror}. {REMEDY}"
