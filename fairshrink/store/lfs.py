"""Files that git-lfs has not fetched: a repository cloned without it has short texts, "pointers", in their place."""

from __future__ import annotations

from pathlib import Path

_BEGINNING = b"version https://git-lfs.github.com/spec/"
_LONGEST = 1024
"""Bytes: the specification keeps pointers shorter."""


def is_pointer(path: Path) -> bool:
    """Whether a file is a pointer of git-lfs instead of what its name says; OSError if it cannot be read."""
    if path.stat().st_size >= _LONGEST:
        return False
    with path.open("rb") as stream:
        return stream.read(len(_BEGINNING)) == _BEGINNING


def missing(names: list[str]) -> str:
    """What is wrong where these files are pointers, with the remedy after "; "."""
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    what = "a git-lfs pointer, not the file itself" if len(names) == 1 else "git-lfs pointers, not the files themselves"
    return f"{listed}: {what}; run `git lfs pull` in the repository that it was cloned from, and copy it again"
