"""Whether a run can write where it has to, said before any job starts."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from fairshrink.errors import UserError

RECORDS = ".snakemake"
"""Where plans and records of runs are, Snakemake's own among them."""
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
REMEDY = "Make it writable for this user, or work in a clone of your own (`git clone`) on another disk."


def require_writable(places: Iterable[str], root: Path = Path()) -> None:
    """UserError with those of some folders, which need not exist, that this process may not write into."""
    refused = sorted({str(folder) for each in places if not os.access(folder := _existing(root / each), os.W_OK)})
    if refused:
        raise UserError(f"{', '.join(refused)}: a run writes there, and may not. {REMEDY}")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if each.exists())


def refusal(error: OSError) -> str | None:
    """One line about an error that means that a file may not be written or read; None if it means something else."""
    if error.errno not in REFUSED or error.filename is None:
        return None
    return f"{error.filename}: {error.strerror}. {REMEDY}"
