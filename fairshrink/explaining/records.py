"""The records of all artefacts that stand here, read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fairshrink.artefacts import MARKER
from fairshrink.pointers import PLACES


@dataclass(frozen=True)
class Record:
    """One artefact's provenance, with the path below the root where it stands."""

    path: str
    value: dict[str, Any]

    @cached_property
    def parts(self) -> dict[str, Any]:
        """What its key was made from."""
        return self.value["parts"]

    @property
    def label(self) -> str:
        """Its name; for scores with the name of their checkpoint."""
        return label(self.value["stage"], self.path, self.value["name"])


def label(stage: str, path: str, name: str) -> str:
    """A readable name without keys that is the same for all versions of an artefact."""
    return f"{path.split('/')[-2].rsplit('-', 1)[0]}/{name}" if stage == "evaluate" else name


def read(root: Path = Path()) -> list[Record]:
    """All records below the root, by path; folders without a readable record are left out (`verify` names them)."""
    found = []
    for place in PLACES:
        for marker in root.glob(f"{place}/{MARKER}"):
            try:
                value = json.loads(marker.read_bytes())
                if {"stage", "name", "key", "parts"} <= set(value):
                    found.append(Record(marker.parent.relative_to(root).as_posix(), value))
            except (OSError, ValueError, TypeError):
                continue
    return sorted(found, key=lambda each: each.path)
