"""The text of a benchmark's file, with errors that name the file, the line and the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.data.faults import SHOWN, TableError
from fairshrink.data.text_files import open_text, undecodable
from fairshrink.errors import UserError

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint


def read_text(path: Path, metric: str, role: str) -> str:
    """What a UTF-8 file says, with line breaks as they are; UserError naming lines that are not UTF-8."""
    try:
        with open_text(path, "utf-8") as stream:
            return stream.read()
    except TableError as error:
        raise UserError(f"{metric}: {error}; `{role}` of `data` names files in utf-8") from error
    except UnicodeError as error:
        fault = undecodable(path, "utf-8", error)
        raise UserError(f"{metric}: {fault.reason}; convert the file to utf-8") from error
    except (OSError, EOFError) as error:
        raise UserError(f"{metric}: {path} cannot be read ({error}); `{role}` of `data` names files") from error


def numbered_lines(path: Path, metric: str, role: str) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers from 1, without line breaks; empty ones are left out."""
    for number, line in enumerate(read_text(path, metric, role).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def refuse_too_long(cp: Checkpoint, texts: Mapping[str, tuple[str, ...]], metric: str) -> None:
    """UserError for texts, or pairs of texts, that a model would only see the beginning of; keys say where they are."""
    from fairshrink.metrics._shared.likelihood import tokenize, too_long
    from fairshrink.models.checkpoint import max_tokens

    pairs = [each[1] for each in texts.values()] if texts and len(next(iter(texts.values()))) > 1 else None
    tokens = tokenize(cp, [each[0] for each in texts.values()], pairs)
    long = [place for place, each in zip(texts, tokens, strict=True) if too_long(cp, each)]
    if long:
        listed = "; ".join(long[:SHOWN]) + (f"; and {len(long) - SHOWN} more" if len(long) > SHOWN else "")
        raise UserError(
            f"{metric}: longer than the {max_tokens(cp)} tokens that the model sees: {listed}; shorten or leave out"
        )
