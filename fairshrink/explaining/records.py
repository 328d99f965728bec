"""The records of all artifacts that exist in this clone or have a DVC pointer, read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fairshrink.log import log
from fairshrink.remote import pointers
from fairshrink.store.layout import ARTIFACT_GLOBS, MARKER


@dataclass(frozen=True)
class Record:
    """One artifact's provenance, with its path below the root."""

    path: str
    value: dict[str, Any]
    here: bool = True

    @cached_property
    def parts(self) -> dict[str, Any]:
        """What its key was computed from."""
        return self.value["parts"]

    @property
    def label(self) -> str:
        """Its name, preceded by the name of the checkpoint for scores."""
        return label(self.value["stage"], self.path, self.value["name"])


def label(stage: str, path: str, name: str) -> str:
    """A readable name without keys that is the same for all versions of an artifact."""
    return f"{path.split('/')[-2].rsplit('-', 1)[0]}/{name}" if stage == "evaluate" else name


def read(root: Path = Path()) -> list[Record]:
    """All records below the root, by path; folders without a readable record are left out (`verify` names them)."""
    markers = (marker for pattern in ARTIFACT_GLOBS for marker in root.glob(f"{pattern}/{MARKER}"))
    found = (_record(marker.parent.relative_to(root).as_posix(), marker) for marker in markers)
    return sorted((each for each in found if each), key=lambda each: each.path)


def fetch(known: list[Record], root: Path = Path()) -> list[Record]:
    """Records of artifacts that have a pointer and are not among the known ones: a few kB each, not the artifacts.

    They are read from DVC's cache or remote; if the remote does not respond, from the cache alone.
    """
    from fairshrink.remote.remote_store import UnreachableError
    from fairshrink.remote.storage import Storage, pointer_object

    here = {each.path for each in known}
    lists = {path: pointer_object(file) for path, file in pointers.recorded(root).items() if path not in here}
    if not lists:
        return []
    storage = Storage(root)
    try:
        storage.fetch(lists.values())
        storage.fetch(_markers(storage, lists).values())
    except UnreachableError as error:
        log(f"{error}: of what others have recorded, only what DVC's cache holds is compared")
    cached = storage.in_cache(_markers(storage, lists).values())
    found = (
        _record(path, Path(storage.cache.oid_to_path(name)), here=False)
        for path, name in _markers(storage, lists).items()
        if name in cached
    )
    return [each for each in found if each]


def _markers(storage: Any, lists: dict[str, str]) -> dict[str, str]:
    """The object of each artifact's record, for those whose list of files is in the cache."""
    held = storage.in_cache(lists.values())
    files = {path: storage.files(name) for path, name in lists.items() if name in held}
    return {path: each[MARKER] for path, each in files.items() if MARKER in each}


def _record(path: str, file: Path, *, here: bool = True) -> Record | None:
    try:
        value = json.loads(file.read_bytes())
        return Record(path, value, here) if {"stage", "name", "key", "parts"} <= set(value) else None
    except (OSError, ValueError, TypeError):
        return None
