"""The record of an artifact, checked: is it complete, is it consistent, does it belong to its path?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fairshrink import keys
from fairshrink.store.layout import MARKER
from fairshrink.upkeep.locations import stage_of


class Parts(BaseModel):
    """What the key is computed from."""

    model_config = ConfigDict(strict=True, extra="forbid")

    stage: str
    code: dict[str, str]
    params: dict[str, Any]
    inputs: dict[str, str]


class Record(BaseModel):
    """The fields that every ``provenance.json`` has; there may be others."""

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
        return None, [f"{MARKER}: {_field(each)}{each['msg'].lower()}" for each in error.errors()[:3]]
    expected = _key(record)
    if expected != record.key:
        return None, [f"{MARKER}: its key is {record.key}, that of its parts {expected}"]
    if record.stage != record.parts.stage:
        return None, [f"{MARKER}: its stage is {record.stage}, that of its parts {record.parts.stage}"]
    return record, []


def mismatch(record: Record, path: str) -> list[str]:
    """Why a consistent record does not belong to this path; empty if it does."""
    wrong = []
    if not path.endswith(f"-{record.key}"):
        wrong.append(f"{MARKER}: the record of {record.name}-{record.key}")
    if record.stage != stage_of(path):
        wrong.append(f"{MARKER}: the record of stage {record.stage}, in the folder of stage {stage_of(path)}")
    return wrong


def _key(record: Record) -> str | None:
    try:
        return keys.key(**record.parts.model_dump())
    except (TypeError, ValueError):
        return None


def _field(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: " if error["loc"] else ""
