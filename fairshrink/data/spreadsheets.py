"""A first line that tells spreadsheets which separator follows, as Excel understands it: no row, and no header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fairshrink.data.faults import Fault
from fairshrink.data.table import TableFormat
from fairshrink.data.text_files import open_text


def instructed(path: Path, table: TableFormat) -> Iterator[Fault]:
    """A fault where a csv or tsv begins with such a line. Raises what `open_text` raises."""
    if table.format not in ("csv", "tsv"):
        return
    try:
        with open_text(path, table.encoding) as stream:
            first = stream.readline(100).rstrip("\r\n")
    except UnicodeError:  # of which reading the rows says more
        return
    told = re.fullmatch(r'"?sep=(.)"?[,;\t|]*', first, re.IGNORECASE)
    if told is None:
        return
    written = told[1].replace("\t", "\\t")
    more = "" if told[1] == table.delimiter else f', and write `separator: "{written}"`'
    reason = (
        f"{path}, line 1: `sep={written}` tells a spreadsheet which separator follows, and is neither header nor row"
    )
    yield Fault("separator" if more else "file", reason, f"remove this line from the file{more}")
