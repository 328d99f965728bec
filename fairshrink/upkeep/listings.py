"""What the studies of commits need, kept for the next time: it follows from the files of the commit and from Python.

Nothing is kept of a commit whose studies cannot all be listed, as that may be for reasons outside of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from fairshrink.store.artifacts import write_json

FOLDER = Path(".snakemake/fairshrink/listings")
LIBRARIES = ("pydantic", "PyYAML")
"""What reads a study."""

Listed = Mapping[str, Sequence[str] | str]


def file(files: Mapping[str, str], pointer: str, root: Path) -> Path:
    """Where the listing of a commit with these files (git's object id by path) is kept; its pointers do not count."""
    content = sorted(each for each in files.items() if not each[0].endswith(pointer))
    made_by = [sys.version, *(f"{name} {version(name)}" for name in LIBRARIES)]
    return root / FOLDER / f"{hashlib.sha256(json.dumps([made_by, content]).encode()).hexdigest()[:24]}.json"


def read(path: Path, studies: Sequence[str]) -> dict[str, list[str] | str]:
    """The artifacts of each of the studies; empty if they are not kept."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and set(found) == set(studies)
    return found if whole and all(isinstance(each, list) for each in found.values()) else {}


def write(path: Path, listed: Listed) -> None:
    """Keep a listing, unless a study in it could not be listed."""
    if not any(isinstance(each, str) for each in listed.values()):
        write_json(path, listed)
