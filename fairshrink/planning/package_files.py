"""The files of this package as they are on disk at this moment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from fairshrink.planning.modules import PACKAGE

Seen = tuple[str, int, int]
"""Path, size, time of modification in nanoseconds."""


def state(root: Path = PACKAGE) -> str:
    """A hash of the names and bytes of all files below a folder, compiled ones left out: 64 hex digits.

    They are read again where a size or a time of modification differs from that of the last call.
    """
    return _digest(root, tuple(sorted(_seen(str(root)))))


def _seen(folder: str) -> Iterator[Seen]:
    with os.scandir(folder) as entries:
        for each in entries:
            if each.is_dir():
                if each.name != "__pycache__":
                    yield from _seen(each.path)
            else:
                found = each.stat()
                yield each.path, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1)
def _digest(root: Path, seen: tuple[Seen, ...]) -> str:
    found = hashlib.sha256()
    for path, _, _ in seen:
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        found.update(f"{content} {Path(path).relative_to(root).as_posix()}\n".encode())
    return found.hexdigest()
