"""Quotes that a program has put around the fields of a TSV: the file does not say whether they belong to the texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairshrink.data.faults import Fault, places
from fairshrink.data.table import TableFormat
from fairshrink.data.tables import Examples

ENCLOSED = re.compile(r'"(?:[^"]|"")*"')


def doubtful(name: str, found: Examples, table: TableFormat) -> Iterator[Fault]:
    """A fault for each column of a tsv without ``quoting`` whose quotes all look like those of a program.

    That is: each field with a quote is enclosed in quotes, those inside are doubled, and there are some inside. People
    who quote somebody do not write so.
    """
    if table.format != "tsv" or table.quoting is not None:
        return
    for role, values in found.columns.items():
        quoted = {row: text for row, text in zip(found.rows, values, strict=True) if '"' in str(text)}
        if all(ENCLOSED.fullmatch(str(text)) for text in quoted.values()):
            lines = [row + 1 + table.header for row, text in quoted.items() if '""' in str(text)[1:-1]]
            if lines:
                reason = f"{name}, {places('line', lines)}: the {role} is in quotes, with quotes inside written twice"
                remedy = "write `quoting: true` if a program has put them around the fields, `quoting: false` if not"
                yield Fault("quoting", reason, remedy)
