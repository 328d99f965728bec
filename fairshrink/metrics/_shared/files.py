"""The text of a benchmark's file, with errors that name the file, the line and the remedy."""

from __future__ import annotations

import csv
import io
import lzma
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.data.faults import SHOWN, TableError, places
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
        reason = "; ".join(fault.reason for fault in error.faults)
        raise UserError(f"{metric}: {reason}; `{role}` of `data` names files in utf-8") from error
    except UnicodeError as error:
        fault = undecodable(path, "utf-8", error)
        raise UserError(f"{metric}: {fault.reason}; convert the file to utf-8") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{metric}: {path} cannot be read ({error}); `{role}` of `data` names files") from error


def numbered_lines(path: Path, metric: str, role: str) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers from 1, without line breaks; empty ones are left out."""
    for number, line in enumerate(io.StringIO(read_text(path, metric, role), newline=None), 1):
        if line.strip():
            yield number, line.rstrip("\n")


def table_rows(
    path: Path,
    metric: str,
    role: str,
    such: str,
    columns: Sequence[str],
    delimiter: str = ",",
    quoting: bool = True,
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with a header, each with the number of the line where it begins.

    UserError for a table without these columns, which names ``such`` a file in its place, or with one of them twice,
    for rows with more or fewer fields than its header, for quotes that are not closed where a field ends, and for
    numbers in a first column without a name that occur twice. Without ``quoting`` quotes are characters as any other.
    """
    content = io.StringIO(read_text(path, metric, role), newline="")
    lines = csv.reader(
        content, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE, strict=True
    )
    found: list[tuple[int, list[str]]] = []
    before = 0
    try:
        header, before = next(lines, []), lines.line_num
        for fields in lines:
            if fields:
                found.append((before + 1, fields))
            before = lines.line_num
    except csv.Error as error:
        raise UserError(
            f"{metric}: {path}, line {before + 1}: {error}, so a quote may be open; fix the row that begins there"
        ) from error
    absent = [name for name in columns if name not in header]
    if absent:
        raise UserError(f"{metric}: {path}, line 1: no column {', '.join(absent)}; `{role}` of `data` names {such}")
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise UserError(f"{metric}: {path}, line 1: more than one column {', '.join(twice)}; rename all but one")
    wrong = [number for number, fields in found if len(fields) != len(header)]
    if wrong:
        raise UserError(
            f"{metric}: {path}, {places('line', wrong)}: more or fewer fields than the {len(header)} of line 1, so "
            "rows are cut short or run together; fix the file or fetch it again"
        )
    if not found:
        raise UserError(f"{metric}: {path} has no rows; fetch the file again")
    if header[0] == "":
        refuse_repeated(((number, fields[0]) for number, fields in found if fields[0]), path, metric)
    return [(number, dict(zip(header, fields, strict=True))) for number, fields in found]


def refuse_repeated(names: Iterable[tuple[int, str]], path: Path, metric: str) -> None:
    """UserError naming both lines of a name that occurs twice."""
    seen: dict[str, int] = {}
    for number, name in names:
        if name in seen:
            raise UserError(
                f"{metric}: {path}, lines {seen[name]} and {number}: {name!r} occurs twice; leave one of them out"
            )
        seen[name] = number


def line_of(text: str, quoted: str, occurrence: int = 1) -> int:
    """The line, from 1, in which a JSON string stands for the nth time; of its last time if it is rarer."""
    lines = [number for number, line in enumerate(text.split("\n"), 1) for _ in range(line.count(quoted))]
    return lines[min(occurrence, len(lines)) - 1] if lines else 1


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
