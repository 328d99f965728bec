"""The record of an artifact, checked: are all its fields there, does it agree with itself and with its place?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fairshrink import keys
from fairshrink.store.artifacts import MARKER
from fairshrink.upkeep.places import stage_of


class Parts(BaseModel):
    """What the key is made of."""

    model_config = ConfigDict(strict=True, extra="forbid")

    stage: str
    code: dict[str, str]
    params: dict[str, Any]
    inputs: list[str]


class Record(BaseModel):
    """The fields that every ``provenance.json`` has; others may stand beside them."""

    model_config = ConfigDict(strict=True)

    key: str
    name: str
    stage: str
    parts: Parts
    files: dict[str, str]
    made: dict[str, Any]


def read(folder: Path) -> tuple[Record | None, list[str]]:
    """The record, or None and what is wrong with it."""
    try:
        record = Record.model_validate_json((folder / MARKER).read_bytes())
    except FileNotFoundError:
        return None, [f"{MARKER}: missing"]
    except OSError as error:
        return None, [f"{MARKER}: cannot be read ({error.strerror})"]
    except ValidationError as error:
        return None, [f"{MARKER}: {_place(each)}{each['msg'].lower()}" for each in error.errors()[:3]]
    made_of = _key(record)
    if made_of != record.key:
        return None, [f"{MARKER}: its key is {record.key}, that of its parts {made_of}"]
    if record.stage != record.parts.stage:
        return None, [f"{MARKER}: its stage is {record.stage}, that of its parts {record.parts.stage}"]
    return record, []


def strangeness(record: Record, path: str) -> list[str]:
    """Why a record that agrees with itself is that of another artifact than belongs to this path."""
    wrong = []
    if not path.endswith(f"-{record.key}"):
        wrong.append(f"{MARKER}: the record of {record.name}-{record.key}")
    if record.stage != stage_of(path):
        wrong.append(f"{MARKER}: of the stage {record.stage}; here belongs {stage_of(path)}")
    return wrong


def _key(record: Record) -> str | None:
    try:
        return keys.key(**record.parts.model_dump())
    except (TypeError, ValueError):
        return None


def _place(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: " if error["loc"] else ""
