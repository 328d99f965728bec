"""Reading studies with the catalog of all modules."""

from __future__ import annotations

from pathlib import Path

from fairshrink.registry import CATALOG
from fairshrink.remote import recalling
from fairshrink.study import reader
from fairshrink.study.study import Study


def load(file: str | Path) -> Study:
    """Read and validate a study. Raises `StudyError` with all its mistakes."""
    return reader.load(file, CATALOG, recalling.pin_of)


def validate(raw: object, file: str) -> Study:
    """Validate the mapping of a study's file. Raises `StudyError` with all its mistakes."""
    return reader.validate(raw, file, CATALOG)
