"""The readable table of metrics with several settings: each headline over them, as a random factor."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fairshrink.reporting import digits, selection
from fairshrink.reporting.markup import Document, Grid
from fairshrink.reporting.outputs import OVER_SETTINGS
from fairshrink.reporting.tables import forms

COLUMNS = ("method", "setting", "metric", "of", "settings", "mean over any settings", "over these", "spread", "range")
WORDS = 4


def write(table: pd.DataFrame, level: float, folder: Path) -> None:
    """Write `analysis.over_settings`' table in three formats."""
    forms.write(table, document(table, level), folder)


def document(table: pd.DataFrame, level: float) -> Document:
    """A grid for each model and task."""
    grids = tuple(
        Grid(f"{model}, {task}", COLUMNS, tuple(_line(row) for _, row in rows.iterrows()), len(COLUMNS) - WORDS)
        for (model, task), rows in selection.each_pair(table)
    )
    note = (
        f"Mean over the settings of a metric, [{level:.0%} interval]: for any settings of which these are a sample, by "
        "their spread and the items', and for these alone. Spread: standard deviation over settings; range: least and "
        "most. With two settings there is no interval for others."
    )
    return Document(OVER_SETTINGS, "Over the settings of a metric", grids, note)


def _line(row: pd.Series) -> tuple[str, ...]:
    return (
        selection.method_name(row["method"]),
        row["setting"],
        row["metric"].replace("_", " "),
        row["what"],
        str(row["n_settings"]),
        digits.with_interval(row["mean"], row["low"], row["high"]),
        digits.with_interval(row["mean"], row["items_low"], row["items_high"]),
        digits.plain(row["spread"]),
        f"{digits.plain(row['least'])} to {digits.plain(row['most'])}",
    )
