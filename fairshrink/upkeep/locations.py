"""Where artifacts, their pointers and the leftovers of interrupted work are; all paths are relative to a root."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from pathlib import Path

from fairshrink.data.splits import MAPPED
from fairshrink.keys import KEY_LENGTH
from fairshrink.store.layout import ARTIFACT_GLOBS, FOLDERS, MARKER

QUARANTINE = "results/quarantine"
"""Where damaged and mismatched artifacts are moved."""
TRAINING = ".training"
_KEYED = re.compile(rf".+-[0-9a-f]{{{KEY_LENGTH}}}")
_PARTS = ("data/.archives/.*.part", "results/.*.part", "results/*/.*.part")


def artifacts(root: Path) -> list[str]:
    """Folders that are or should be artifacts, sorted: those whose name ends with a key, and those with a record."""
    return sorted(
        _relative(path, root)
        for pattern in ARTIFACT_GLOBS
        for path in root.glob(pattern)
        if not path.name.startswith(".") and path.is_dir() and (is_keyed(path.name) or (path / MARKER).is_file())
    )


def pointers(root: Path) -> list[str]:
    """Artifacts that have a pointer, whether they exist in this clone or not, sorted."""
    found = (path.with_suffix("") for pattern in ARTIFACT_GLOBS for path in root.glob(f"{pattern}.dvc"))
    return sorted(_relative(path, root) for path in found if is_keyed(path.name))


def is_keyed(name: str) -> bool:
    """Whether a folder's name ends with a key."""
    return _KEYED.fullmatch(name) is not None


def folder_of(path: str) -> str:
    """The folder for all artifacts of this one's stage, such as ``results/scores``."""
    return next(folder for folder in FOLDERS.values() if path.startswith(f"{folder}/"))


def stage_of(path: str) -> str:
    """The stage that makes the artifact at this path."""
    return {folder: stage for stage, folder in FOLDERS.items()}[folder_of(path)]


def half_built(root: Path) -> list[str]:
    """Files and folders that were never finished (``.*.part``, before they are locked ``.*.new``), sorted."""
    folders = [pattern[: pattern.rindex("*")] for pattern in ARTIFACT_GLOBS]
    return _hidden(root, [*(f"{folder}.*.{ending}" for folder in folders for ending in ("part", "new")), *_PARTS])


def trainings(root: Path) -> list[str]:
    """Saved states of trainings that have not finished (``.<artifact>.training``), sorted."""
    return _hidden(root, [pattern[: pattern.rindex("*")] + f".*{TRAINING}" for pattern in ARTIFACT_GLOBS])


def mapped(root: Path) -> dict[str, str]:
    """Files that data sets are mapped into memory from, a folder for each → the artifact that they were made of."""
    found = sorted(root.glob(f"{FOLDERS['download']}/{MAPPED}/*"))
    return {_relative(path, root): f"{FOLDERS['download']}/{path.name}" for path in found if path.is_dir()}


def trained(state: str) -> str:
    """The artifact that a training state belongs to."""
    folder, _, name = state.rpartition("/")
    return f"{folder}/{name.removeprefix('.').removesuffix(TRAINING)}"


def hide(path: Path) -> Path:
    """Rename a folder to the name of a half-built one, so that nothing takes it for an artifact. Returns its path."""
    hidden = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    path.rename(hidden)
    return hidden


def _hidden(root: Path, patterns: Iterable[str]) -> list[str]:
    return sorted({_relative(path, root) for pattern in patterns for path in root.glob(pattern)})


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
