"""CSV files with plain numbers, in which no text can be run as a formula by a spreadsheet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fairshrink.reporting.escaping import csv_cell


def write(table: pd.DataFrame, path: Path) -> None:
    """Write ``table``: floats with six significant digits, missing values empty, text made harmless."""
    safe = table.rename(columns=csv_cell)
    for position in range(safe.shape[1]):
        column = safe.iloc[:, position]
        if not pd.api.types.is_numeric_dtype(column):
            safe.isetitem(position, column.map(csv_cell).astype(object))
    safe.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
