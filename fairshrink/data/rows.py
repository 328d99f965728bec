"""The rows of a table's file as they are written: nothing is guessed, left out, or turned into another type."""

from __future__ import annotations

import csv
import lzma
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fairshrink.data.faults import Fault, TableError, places
from fairshrink.data.json_text import parse
from fairshrink.data.table import Role, TableFormat
from fairshrink.data.text_files import open_text, undecodable

SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
LONGEST_FIELD = 2**31 - 1


class Number(str):
    """A number of a JSON file, as it is written there."""


@dataclass(frozen=True)
class Rows:
    """The columns that a study names, by role; ``places`` are the numbers of the rows' first lines, or of the rows."""

    values: Mapping[Role, Sequence[object]]
    places: Sequence[int]
    unit: str


def read_rows(path: Path, table: TableFormat) -> Rows:
    """All rows of one file. Raises TableError for a file that is not what ``table`` says, with line numbers.

    Values of csv and tsv are str. Those of JSON lines are str, `Number`, bool, None, list or dict, and None where the
    key is missing; those of Parquet are what Python has for its type.
    """
    try:
        rows = _parquet(path, table) if table.format == "parquet" else _text_rows(path, table)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise TableError(_unreadable(path, table, error)) from error
    if not rows.places:
        raise TableError(Fault("file", f"{path} has no rows", "write a file that contains examples"))
    return rows


def _text_rows(path: Path, table: TableFormat) -> Rows:
    try:
        with open_text(path, table.encoding) as lines:
            return (_json_lines if table.format == "jsonl" else _separated)(lines, path, table)
    except UnicodeError as error:
        raise TableError(undecodable(path, table.encoding, error)) from error


def _unreadable(path: Path, table: TableFormat, error: Exception) -> Fault:
    reason = f"{path} cannot be read as {table.format} ({str(error).strip() or type(error).__name__})"
    return Fault("", reason, "check `format`, and whether the file is whole")


def _separated(lines: Iterable[str], path: Path, table: TableFormat) -> Rows:
    # The limit is the process's; the csv module's own, 128 KiB, is short for documents.
    csv.field_size_limit(LONGEST_FIELD)
    ends: dict[str, int] = {}
    last = ""

    def watched() -> Iterator[str]:
        nonlocal last
        for number, last in enumerate(lines, 1):
            if "\0" in last:
                reason = f"{path}, line {number}: NUL characters"
                raise TableError(Fault("encoding", reason, "write the right `encoding`: it looks like utf-16"))
            yield last

    lines_read = watched()
    reader = (
        csv.reader(lines_read, delimiter=table.delimiter, strict=True)
        if table.quoted
        else csv.reader(lines_read, delimiter=table.delimiter, quoting=csv.QUOTE_NONE, strict=True)
    )
    width, chosen, where = 0, {}, []
    values: dict[Role, list[str]] = {role: [] for role in table.columns}
    blank: list[int] = []
    gaps: list[int] = []
    uneven: dict[int, list[str]] = {}
    start = 1
    try:
        for row in reader:
            line, start = start, reader.line_num + 1
            if not row:
                blank.append(line)
                continue
            gaps += blank
            blank.clear()
            if last[-1] in "\r\n":
                ends.setdefault(last[-1], line)
            if not width:
                width, chosen = len(row), chosen_columns(row if table.header else len(row), table, path, row)
                if table.header:
                    continue
            if len(row) != width:
                uneven[line] = row
                continue
            where.append(line)
            for role, column in chosen.items():
                values[role].append(row[column])
    except csv.Error as error:
        raise TableError(_misquoted(path, start, str(error))) from error
    faults = [*_uneven(path, uneven, width, table), *_gaps(path, gaps)]
    if len(ends) > 1:
        reason = f"{path}, line {max(ends.values())}: some lines end in a carriage return alone, others do not"
        faults.append(Fault("", reason, "enclose fields with line breaks in quotes, or use one kind of line end"))
    if faults:
        raise TableError(*faults)
    if not width:
        raise TableError(Fault("file", f"{path} is empty", "write a file that contains examples"))
    return Rows(values, where, "line")


def _misquoted(path: Path, line: int, error: str) -> Fault:
    what = "a quote that opens here is never closed" if "unexpected end" in error else f"the quotes are wrong ({error})"
    remedy = 'write quotes inside a quoted field twice (""), or `quoting: false` if they belong to the text'
    return Fault("quoting", f"{path}, line {line}: {what}", remedy)


def _uneven(path: Path, rows: Mapping[int, list[str]], width: int, table: TableFormat) -> Iterator[Fault]:
    if not rows:
        return
    found = " or ".join(str(number) for number in sorted({len(row) for row in rows.values()})[:5])
    first = "the header" if table.header else "the first row"
    reason = f"{path}, {places('line', list(rows))}: {found} fields but {first} has {width}"
    if all(len(row) == width + 1 and not row[-1] for row in rows.values()):
        yield Fault("file", reason, f"remove the separator at the end of these lines, or add one to {first}")
    elif table.quoted:
        yield Fault("file", reason, f"enclose fields that contain '{table.delimiter}' in quotes, or fix the lines")
    else:
        yield Fault("file", reason, "fix the lines, or write `quoting: true` if quotes enclose fields")


def _gaps(path: Path, lines: Sequence[int]) -> Iterator[Fault]:
    if lines:
        yield Fault("file", f"{path}, {places('line', lines)}: blank between rows", "remove the blank lines")


def _json_lines(lines: Iterable[str], path: Path, table: TableFormat) -> Rows:
    numbered = {role: column for role, column in table.columns.items() if isinstance(column, int)}
    if numbered:
        raise TableError(
            *(
                Fault(f"columns.{role}", f"JSON lines have no column {column} for {role}", "write the key's name")
                for role, column in numbered.items()
            )
        )
    names: dict[str, None] = {}
    where: list[int] = []
    values: dict[Role, list[object]] = {role: [] for role in table.columns}
    wrong: dict[int, str] = {}
    listed = False
    blank: list[int] = []
    gaps: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            blank.append(number)
            continue
        gaps += blank
        blank.clear()
        try:
            row = _json_object(line)
        except ValueError as error:
            wrong[number] = str(error)
            listed = listed or line.lstrip().startswith("[")
            continue
        names.update(dict.fromkeys(row))
        where.append(number)
        for role, column in table.columns.items():
            values[role].append(row.get(str(column)))
    faults = list(_gaps(path, gaps))
    if wrong:
        reasons = list(dict.fromkeys(wrong.values()))
        reason = f"{path} cannot be read as jsonl, {places('line', list(wrong))}: {'; '.join(reasons[:3])}"
        more = ": `jq -c '.[]'` makes them of a list" if listed else ""
        faults.append(Fault("", reason, f"write one JSON object on each line{more}"))
    if faults:
        raise TableError(*faults)
    if where:
        chosen_columns(list(names), table, path)
    return Rows(values, where, "line")


def _json_object(line: str) -> dict[str, object]:
    value = parse(line, number=Number, constants=False)
    if not isinstance(value, dict):
        raise ValueError(f"{kind_of(value)}, not an object")
    return value


def kind_of(value: object) -> str:
    """What a value is, for messages."""
    if value is None:
        return "null or missing"
    if isinstance(value, bool):
        return f"the value {str(value).lower()}"
    if isinstance(value, Number | int | float):
        return f"the number {value}"
    names: dict[type, str] = {str: "a text", list: "a list", dict: "an object", bytes: "of type binary"}
    return names.get(type(value), f"of type {type(value).__name__}")


def _parquet(path: Path, table: TableFormat) -> Rows:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            names = list(file.schema_arrow.names)
            chosen = chosen_columns(names, table, path)
            found: Any = file.read(columns=[names[column] for column in dict.fromkeys(chosen.values())])
            values = {role: found.column(names[column]).to_pylist() for role, column in chosen.items()}
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise TableError(_unreadable(path, table, error)) from error
    return Rows(values, range(1, found.num_rows + 1), "row")


def chosen_columns(
    names: Sequence[str] | int, table: TableFormat, path: Path, first: Sequence[str] = ()
) -> dict[Role, int]:
    """Where the columns are that the study names. Raises TableError for those that are not there, or there twice."""
    named = [] if isinstance(names, int) else list(names)
    width = names if isinstance(names, int) else len(named)
    times = Counter(named)
    twice = [f"'{name}'" for name, number in times.items() if number > 1 and (name or name in table.columns.values())]
    if twice:
        reason = f"{path} has more than one column {', '.join(twice)}"
        raise TableError(Fault("columns", reason, "rename all but one of them in the file"))
    chosen: dict[Role, int] = {}
    faults = []
    for role, column in table.columns.items():
        if isinstance(column, int) and column < width:
            chosen[role] = column
        elif isinstance(column, str) and column in times:
            chosen[role] = named.index(column)
        else:
            reason = f"{path} has no column '{column}' for {role}"
            faults.append(Fault(f"columns.{role}", reason, _remedy(column, named, width, first, table)))
    if faults:
        raise TableError(*faults)
    return chosen


def _remedy(column: str | int, names: Sequence[str], width: int, first: Sequence[str], table: TableFormat) -> str:
    other = [each for each in SEPARATORS if each != table.delimiter and len(first) == 1 and each in first[0]]
    if other:
        written = other[0].replace("\t", "\\t")
        return f'the fields seem to be separated by {SEPARATORS[other[0]]}: write `separator: "{written}"`'
    listed = ", ".join(names or [str(number) for number in range(width)])
    if str(column) in names:
        return f'put the name in quotes, "{column}"; the columns are {listed}'
    close = get_close_matches(str(column), names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'? the columns are {listed}" if close else f"the columns are {listed}"
