"""The data of the report's charts and details, as JSON that is safe inside HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairshrink.analysis.verdict_kinds import MEANING
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting.report.verdict_looks import LOOKS
from fairshrink.reporting.style import looks
from fairshrink.reporting.wording import compression, words

CellName = tuple[str, str, str, str, str]
"""Model, task, method, setting ("" for none) and metric, as in the cells."""
Items = Mapping[CellName, pd.DataFrame]
"""Per-item scores of a cell: columns ``item``, ``baseline``, ``value``, and whatever else is to be shown."""

_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "p": "pentagon",
    "<": "triangle-left", ">": "triangle-right", "h": "hexagon", "d": "diamond-tall", "8": "octagon",
}  # fmt: skip
"""The markers of the figures by Plotly's names."""
_TEXT_OF_ITEM = 300
"""Characters of a text that the page keeps."""


def payload(
    cells: pd.DataFrame, items: Items, measurements: pd.DataFrame, about: Mapping[str, Any], n_items: int
) -> dict[str, Any]:
    """Everything that the page's scripts use; ``n_items`` telling items for each cell of a compression."""
    rows = [_name(row) for row in cells.itertuples()]
    telling = {}
    for i, name in enumerate(rows):
        found = items.get(name) if n_items and cells["kind"].iloc[i] in BIAS_KINDS and name[2] != BASELINE else None
        if found is not None and len(found):
            telling[str(i)] = _table(most_changed(found, n_items))
    return {
        "n": len(cells),
        "cells": {column: [plain(each) for each in cells[column]] for column in cells if cells[column].notna().any()},
        "names": {
            "compression": [compression(name[2], name[3]) if name[2] != BASELINE else "uncompressed" for name in rows],
            "metric": [words(name[4]) for name in rows],
        },
        "looks": appearance(cells),
        "verdicts": {
            name: {"symbol": LOOKS[name][0], "style": LOOKS[name][1], "meaning": MEANING[name]} for name in LOOKS
        },
        "items": telling,
        "checkpoints": [_plain_mapping(each) for each in about.get("checkpoints", ())],
        "measurements": measured(measurements),
        "level": about.get("level"),
    }


def most_changed(items: pd.DataFrame, n: int) -> pd.DataFrame:
    """The ``n`` items with the largest change against the baseline, most changed first; ties by their name.

    ``change`` is added. Items without a value on either side are left out.
    """
    changed = items.assign(change=items["value"].astype(float) - items["baseline"].astype(float))
    changed = changed[changed["change"].notna()].assign(_size=lambda each: each["change"].abs())
    first = changed.sort_values(["_size", "item"], ascending=[False, True], kind="stable").head(n)
    return first.drop(columns="_size").reset_index(drop=True)


def appearance(cells: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Color, symbol and name of each line: those of the figures."""
    return {
        line: {"color": look.color, "symbol": _SYMBOLS[look.marker], "name": words(line).replace("=", " ")}
        for line, look in looks(cells).items()
    }


def measured(measurements: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What was measured of each checkpoint, by its key."""
    return {
        str(key): {str(name): plain(value) for name, value in zip(of["name"], of["value"], strict=True)}
        for key, of in measurements.groupby("key", sort=True)
    }


def plain(value: Any) -> Any:
    """A value as JSON has it: six significant digits, None where it is missing, infinity as text."""
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else "∞" if value > 0 else "−∞"
    return value if isinstance(value, bool | int) else str(value)


def _table(frame: pd.DataFrame) -> dict[str, Sequence[Any]]:
    columns = ["item", *(each for each in frame if each not in ("item", "baseline", "value", "change"))]
    columns += ["baseline", "value", "change"]
    return {
        "columns": [words(str(each)) for each in columns],
        "rows": [[_short(plain(each)) for each in row] for row in frame[columns].itertuples(index=False)],
    }


def _short(value: Any) -> Any:
    return f"{value[:_TEXT_OF_ITEM]}…" if isinstance(value, str) and len(value) > _TEXT_OF_ITEM else value


def _plain_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {str(k): _plain_mapping(v) if isinstance(v, Mapping) else plain(v) for k, v in mapping.items()}


def _name(row: Any) -> CellName:
    return (row.model, row.task, row.method, row.setting if isinstance(row.setting, str) else "", row.metric)
