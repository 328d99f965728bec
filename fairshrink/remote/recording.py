"""`dvc add` for artifacts, after which what they have in common is one file on disk as well.

    python -m fairshrink.remote.recording PATH ...

DVC moves a file into its cache and links to it. One whose object is in the cache already it leaves as it is, a copy,
where copies are allowed (`cache.type = hardlink,copy`). Here it becomes a link too, if DVC prefers hardlinks.
"""

from __future__ import annotations

import filecmp
import os
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fairshrink.remote.cache_objects import Objects
from fairshrink.remote.pointers import pointer
from fairshrink.remote.storage import pointer_object


def main(paths: Sequence[str]) -> int:
    """Record the artifacts at these paths, below the working directory; returns DVC's exit status."""
    from dvc.cli import main as dvc

    status = int(dvc(["add", *paths]) or 0)
    if status == 0:
        link(paths)
    return status


def link(paths: Sequence[str], root: Path = Path()) -> None:
    """Make files of recorded artifacts links to their objects in DVC's cache; those of other bytes stay."""
    objects = Objects(root)
    if not objects.links:
        return
    for path in paths:
        for name, each in (objects.listing(pointer_object(pointer(root / path))) or {}).items():
            with suppress(OSError):  # the cache may be on another disk
                _link(root / path / name, objects.path(each), root / ".dvc" / "tmp")


def _link(file: Path, stored: Path, spare: Path) -> None:
    if file.samefile(stored) or not filecmp.cmp(file, stored, shallow=False):
        return
    new = spare / f"link-{uuid.uuid4().hex}"
    os.link(stored, new)
    try:
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
