"""Tables of a benchmark with named columns, as text: read with the line in every complaint."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fairshrink.errors import UserError


def rows_of(
    metric: str, path: Path, columns: Sequence[str], separator: str = "\t", quoting: bool = True
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with the number of their line from 1; UserError for another encoding, missing columns, rows cut short."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(
                lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE, strict=True
            )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{metric}: {path} cannot be read as a table in UTF-8: {error}") from error
    if not rows:
        raise UserError(f"{metric}: {path} has no rows; name another file")
    absent = [name for name in columns if name not in rows[0][1]]
    if absent:
        there = ", ".join(str(name) for name in rows[0][1] if name is not None)
        raise UserError(f"{metric}: {path} has no column {', '.join(absent)}, but {there}; name another file")
    twice = [name for name in columns if list(reader.fieldnames or ()).count(name) > 1]
    if twice:
        raise UserError(f"{metric}: {path}, line 1: more than one column {', '.join(twice)}; rename all but one")
    for number, row in rows:
        short = [name for name in columns if row[name] is None]
        if short or None in row:
            what = f"no field for {short[0]}" if short else "more fields than columns"
            raise UserError(f"{metric}: {path}, line {number}: {what}; complete or remove the row")
        yield number, {name: row[name] for name in columns}
