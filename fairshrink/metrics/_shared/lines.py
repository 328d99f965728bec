"""Text files as lines: lists of words, prompts, templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fairshrink.errors import UserError


def lines_of(metric: str, files: Iterable[Path]) -> Iterator[tuple[Path, int, str]]:
    """Lines that are not blank, with their file and number from 1; UserError for what cannot be read or has none."""
    for path in files:
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise UserError(f"{metric}: {path} cannot be read as text in UTF-8: {error}") from error
        lines = [(path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if not lines:
            raise UserError(f"{metric}: {path} has no lines; name another file")
        yield from lines
