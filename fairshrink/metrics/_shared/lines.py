"""Text files as lines: lists of words, prompts, templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import numbered_lines


def places_of(metric: str, role: str, files: Iterable[Path]) -> dict[str, str]:
    """Where each line stands, without blanks at its ends, for messages; the last time if it is there twice."""
    return {line.strip(): f"{path}, line {number}" for path, number, line in lines_of(metric, role, files)}


def lines_of(metric: str, role: str, files: Iterable[Path]) -> Iterator[tuple[Path, int, str]]:
    """Lines that are not blank, with their file and number from 1; UserError for what cannot be read or has none."""
    for path in files:
        lines = [(path, number, line) for number, line in numbered_lines(Path(path), metric, role)]
        if not lines:
            raise UserError(f"{metric}: {path} has no lines; name another file")
        yield from lines
