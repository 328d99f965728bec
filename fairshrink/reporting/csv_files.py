"""CSV files with plain numbers, in which no text can be run as a formula by a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write ``table``: floats with six significant digits, missing values empty, text made harmless."""
    safe = table.rename(columns=harmless)
    for position in range(safe.shape[1]):
        column = safe.iloc[:, position]
        if not pd.api.types.is_numeric_dtype(column):
            safe.isetitem(position, column.map(harmless).astype(object))
    safe.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def harmless(value: Any) -> Any:
    """``value`` as it is unless it is a text that a spreadsheet would run: that gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
