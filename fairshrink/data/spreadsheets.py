"""A first line that tells spreadsheets which separator follows, as Excel understands it: no row, and no header."""

from __future__ import annotations

import lzma
import re
import zlib
from pathlib import Path

from fairshrink.data import tables
from fairshrink.data.faults import Fault, TableError
from fairshrink.data.table import TableFormat
from fairshrink.data.tables import Examples
from fairshrink.data.text_files import open_text


def examples(path: Path, table: TableFormat) -> Examples:
    """As `tables.examples`, and TableError where a csv or tsv begins with such a line."""
    told = instructed(path, table)
    if told:
        raise TableError(told)
    return tables.examples(path, table)


def instructed(path: Path, table: TableFormat) -> Fault | None:
    """What is wrong with such a first line; None if there is none. Raises TableError as `open_text`."""
    if table.format not in ("csv", "tsv"):
        return None
    try:
        with open_text(path, table.encoding) as stream:
            first = stream.readline(100).rstrip("\r\n")
    except (UnicodeError, OSError, EOFError, zlib.error, lzma.LZMAError):  # of which reading the rows says more
        return None
    told = re.fullmatch(r'"?sep=(.)"?[,;\t|]*', first, re.IGNORECASE)
    if told is None:
        return None
    written = told[1].replace("\t", "\\t")
    more = "" if told[1] == table.delimiter else f', and write `separator: "{written}"`'
    reason = (
        f"{path}, line 1: `sep={written}` tells a spreadsheet which separator follows, and is neither header nor row"
    )
    return Fault("separator" if more else "file", reason, f"remove this line from the file{more}")
