"""Tables that a study's check refuses before they are read, as reading them would say something else or nothing.

A first line that tells spreadsheets which separator follows, as Excel understands it, is no row and no header. A split
without rows cannot be mapped into memory.
"""

from __future__ import annotations

import lzma
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.data import tables
from fairshrink.data.faults import Fault, TableError
from fairshrink.data.splits import files_of
from fairshrink.data.table import TableFormat, TableReference
from fairshrink.data.tables import Examples
from fairshrink.data.text_files import open_text

if TYPE_CHECKING:
    from pandas import DataFrame


def examples(path: Path, table: TableFormat) -> Examples:
    """As `tables.examples`, and TableError where a csv or tsv begins with a line for spreadsheets."""
    told = instructed(path, table)
    if told:
        raise TableError(told)
    return tables.examples(path, table)


def read(ref: TableReference) -> DataFrame:
    """As `tables.read`, and TableError where a file of a split has no rows."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    if ref.split is not None:
        files = [tables.find(Path(ref.path), name) for name in files_of(ref)]
        try:
            empty = [file.name for file in files if not read_metadata(file).num_rows]
        except (ArrowException, OSError, ValueError):  # of which reading the rows says more
            return tables.read(ref)
        if len(empty) == len(files):
            reason = f"{ref.path}, split {ref.split} has no rows"
            raise TableError(Fault("split", reason, "name a split that contains examples"))
        if empty:
            reason = f"{ref.path}, split {ref.split}: {', '.join(empty)}: no rows, so that the split cannot be read"
            remedy = "name the other files, with `source: hub` and `repo_type: dataset` for the download"
            raise TableError(Fault("split", reason, remedy))
    return tables.read(ref)


def instructed(path: Path, table: TableFormat) -> Fault | None:
    """What is wrong with a first line for spreadsheets; None if there is none. Raises TableError as `open_text`."""
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
