"""Names of a table's columns without reading the table, fast enough to check a study before anything runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from fairshrink.data.table import TableFormat


def column_names(path: Path, table: TableFormat) -> list[str] | int:
    """Names of the columns of one file, or their number if the file does not name them.

    Raises OSError, UnicodeError or ValueError if the file cannot be read in the table's format.
    """
    if table.format == "parquet":
        from pyarrow.parquet import read_schema

        return list(read_schema(path).names)
    with path.open(encoding=table.encoding, newline="") as lines:
        if table.format == "jsonl":
            return list(json.loads(lines.readline()))
        reader = csv.reader(
            lines,
            delimiter=table.separator,
            quoting=csv.QUOTE_MINIMAL if table.quoted else csv.QUOTE_NONE,
        )
        first = next(reader, [])
    return first if table.header else len(first)
