"""Checksums of many files: each is read once for SHA-256 and MD5 together, by several threads.

Files that are links to the same bytes (an artifact's and DVC's copy of it) are read once as well.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fairshrink.log import log
from fairshrink.upkeep.formatting import size_text

CHUNK = 1 << 20
PROGRESS_S = 10.0


@dataclass(frozen=True)
class Sums:
    """Hex digests of one file and its size in bytes; ``error`` says why it could not be read."""

    sha256: str = ""
    md5: str = ""
    size: int = 0
    error: str = ""


class Checksums:
    """Checksums of files, cached by inode."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or min(8, os.cpu_count() or 1)
        self._cache: dict[tuple[int, int], Sums] = {}
        self._lock = threading.Lock()
        self._done = self._total = 0
        self._reported_at = time.monotonic()

    def read(self, paths: Iterable[Path]) -> dict[Path, Sums]:
        """The checksums of each file; links are followed."""
        found: dict[Path, Sums] = {}
        inodes: dict[Path, tuple[int, int]] = {}
        waiting: dict[tuple[int, int], Path] = {}
        for path in paths:
            try:
                status = path.stat()
            except OSError as error:
                found[path] = Sums(error=error.strerror or str(error))
                continue
            inodes[path] = (status.st_dev, status.st_ino)
            if inodes[path] not in self._cache and waiting.setdefault(inodes[path], path) is path:
                self._total += status.st_size
        with ThreadPoolExecutor(self._threads) as pool:
            for inode, sums in zip(waiting, pool.map(self._sums, waiting.values()), strict=True):
                self._cache[inode] = sums
        return found | {path: self._cache[inode] for path, inode in inodes.items()}

    def _sums(self, path: Path) -> Sums:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    sha256.update(chunk)
                    md5.update(chunk)
                    size += len(chunk)
                    self._progress(len(chunk))
        except OSError as error:
            return Sums(error=error.strerror or str(error))
        return Sums(sha256.hexdigest(), md5.hexdigest(), size)

    def _progress(self, n_bytes: int) -> None:
        with self._lock:
            self._done += n_bytes
            if time.monotonic() - self._reported_at >= PROGRESS_S:
                self._reported_at = time.monotonic()
                log(f"read {size_text(self._done)} of {size_text(self._total)}")
