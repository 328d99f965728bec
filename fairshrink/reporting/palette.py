"""Colors of methods, the same in figures and report; controls are gray in both."""

from __future__ import annotations

import pandas as pd

from fairshrink.contracts import BASELINE

# Okabe and Ito (2008), distinguishable with every common kind of color vision, without yellow, too faint for lines;
# then four more, told apart by their markers where colors are near.
COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5D4E9E", "#8C510A"),
    *("#7A8B00", "#A50F3C"),
)
SYMBOLS = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"),
    *("triangle-left", "triangle-right", "pentagon", "hexagon"),
)
"""Plotly's names of matplotlib's o s ^ D v P X < > p h."""


def looks(cells: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Color and symbol of each line of compressions: one color for each method, in the order of the cells."""
    rows = cells[(cells["method"] != BASELINE) & ~cells["control"].astype(bool)].drop_duplicates("line")
    color = {method: COLORS[i % len(COLORS)] for i, method in enumerate(dict.fromkeys(rows["method"]))}
    pairs = enumerate(zip(rows["line"], rows["method"], strict=True))
    return {line: (color[method], SYMBOLS[i % len(SYMBOLS)]) for i, (line, method) in pairs}
