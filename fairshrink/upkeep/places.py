"""Where artifacts, their pointers and the leftovers of interrupted work stand; all paths are relative to a root."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from pathlib import Path

from fairshrink.keys import KEY_LENGTH
from fairshrink.planning.grid import FOLDERS
from fairshrink.remote.pointers import PLACES
from fairshrink.store.artifacts import MARKER

ASIDE = "results/aside"
"""Where faulty artifacts are put."""
TRAINING = ".training"
_KEYED = re.compile(rf".+-[0-9a-f]{{{KEY_LENGTH}}}")
_PARTS = ("data/.archives/.*.part", "results/.*.part", "results/*/.*.part")


def artifacts(root: Path) -> list[str]:
    """Folders that are or should be artifacts, sorted: those with a key in their name, and those with a record."""
    return sorted(
        _relative(path, root)
        for place in PLACES
        for path in root.glob(place)
        if not path.name.startswith(".") and path.is_dir() and (is_keyed(path.name) or (path / MARKER).is_file())
    )


def pointers(root: Path) -> list[str]:
    """Artifacts that have a pointer, whether they stand here or not, sorted."""
    found = (path.with_suffix("") for place in PLACES for path in root.glob(f"{place}.dvc"))
    return sorted(_relative(path, root) for path in found if is_keyed(path.name))


def is_keyed(name: str) -> bool:
    """Whether a folder's name ends with a key."""
    return _KEYED.fullmatch(name) is not None


def place_of(path: str) -> str:
    """The folder of its stage in which an artifact stands, such as ``results/scores``."""
    return next(folder for folder in FOLDERS.values() if path.startswith(f"{folder}/"))


def stage_of(path: str) -> str:
    """The stage that makes what stands at this path."""
    return {folder: stage for stage, folder in FOLDERS.items()}[place_of(path)]


def half_built(root: Path) -> list[str]:
    """Files and folders that were never finished (``.*.part``), sorted."""
    return _hidden(root, [*(place[: place.rindex("*")] + ".*.part" for place in PLACES), *_PARTS])


def trainings(root: Path) -> list[str]:
    """States of trainings that have not ended (``.<artifact>.training``), sorted."""
    return _hidden(root, [place[: place.rindex("*")] + f".*{TRAINING}" for place in PLACES])


def trained(state: str) -> str:
    """The artifact that a training's state belongs to."""
    folder, _, name = state.rpartition("/")
    return f"{folder}/{name.removeprefix('.').removesuffix(TRAINING)}"


def hide(path: Path) -> Path:
    """Rename a folder to a half-built one's name: from now on nothing takes it for an artifact. Returns where it is."""
    hidden = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    path.rename(hidden)
    return hidden


def _hidden(root: Path, patterns: Iterable[str]) -> list[str]:
    return sorted({_relative(path, root) for pattern in patterns for path in root.glob(pattern)})


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
