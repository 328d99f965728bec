"""How much a download may fetch and unpack to."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from fairshrink.errors import UserError
from fairshrink.settings import GB


def too_much(size: int | None, most: int) -> str:
    """What is wrong with so many bytes, None if they do not end, and the remedy."""
    had = "more" if size is None else f"{_gb(size)}, more"
    wanted = "a higher number" if size is None else f"`max_gb: {size / GB * 1.05:.3g}`"
    return f"{had} than the {_gb(most)} that it may have; nothing was kept: if it is right, write {wanted} for it"


def _gb(size: int) -> str:
    return f"{size / GB:.3g} GB"


class Budget:
    """How many bytes may still be unpacked; ``what`` names the download in messages."""

    def __init__(self, most: int, what: str) -> None:
        self.most, self.what, self.spent = most, what, 0

    def spend(self, size: int, name: str) -> None:
        """UserError if there are so many bytes no more."""
        self.check(size, name)
        self.spent += size

    def check(self, size: int, name: str) -> None:
        """UserError if so many bytes would be too many."""
        if self.spent + size > self.most:
            raise UserError(f"{self.what}: {name}: with it the archive unpacks to {too_much(None, self.most)}")


@contextmanager
def largest_file(most: int) -> Iterator[None]:
    """Inside, this process writes no file of more bytes: OSError (EFBIG) where a library tries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    known = [each for each in (most, soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
