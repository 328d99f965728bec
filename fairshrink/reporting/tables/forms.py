"""A table written in its three formats."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fairshrink.reporting import csv_files, markup
from fairshrink.reporting.markup import Document


def write(numbers: pd.DataFrame, table: Document, folder: Path) -> None:
    """Write ``numbers`` as CSV and ``table`` as Markdown and LaTeX, under the name of the table."""
    csv_files.write(numbers, folder / f"{table.name}.csv")
    (folder / f"{table.name}.md").write_text(markup.markdown(table), encoding="utf-8")
    (folder / f"{table.name}.tex").write_text(markup.latex(table), encoding="utf-8")
