"""Compressions as points: color and marker say the method, the filling of the marker says the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.reporting.figures.frame import Handle, Legend
from fairshrink.reporting.style import GRAY, INK, Look

FULL, HALF, EMPTY, DOT, CROSS = "full", "half", "empty", "dot", "cross"
FILLING: dict[str, str] = {
    kinds.MORE_BIASED: FULL,
    kinds.LESS_BIASED: FULL,
    kinds.AS_DAMAGE: HALF,
    kinds.UNCONTROLLED: HALF,
    kinds.UNCHANGED: EMPTY,
    kinds.ONLY_RANDOM: EMPTY,
    kinds.NO_CHANGE: EMPTY,
    kinds.UNRESOLVED: DOT,
    kinds.NOT_MEASURABLE: CROSS,
}
_MEANING = {
    FULL: "more or less biased",
    HALF: "changed; damage may do it",
    EMPTY: "no change beyond lost signal",
    DOT: "cannot resolve",
    CROSS: "not measurable",
}
SIZE = 6.0


def filling(verdict: object) -> str:
    """How a marker is filled; a cell without a verdict is filled as one that shows no change."""
    return FILLING.get(verdict, EMPTY) if isinstance(verdict, str) else EMPTY


def lengths(points: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    """Lengths of error bars below and above ``points``, 0 where there is no interval."""
    below, above = points - low, high - points
    return np.nan_to_num(np.array([below, above], dtype=float)).clip(min=0.0)


def paired(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Bounds of the value by its paired difference from the baseline; its own where there is no paired interval."""
    low = rows["value"] + (rows["change_low"] - rows["change"])
    high = rows["value"] + (rows["change_high"] - rows["change"])
    return low.fillna(rows["low"]), high.fillna(rows["high"])


def draw(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, low: pd.Series, high: pd.Series, appearance: dict[str, Look]
) -> None:
    """Each cell of ``rows`` at its columns ``x`` and ``y`` with the interval ``low`` to ``high``; all must be known."""
    bars = lengths(rows[y], low, high)
    for i, (_, row) in enumerate(rows.iterrows()):
        look = appearance[row["line"]]
        axes.errorbar(
            [row[x]], [row[y]], bars[:, [i]], fmt="none", ecolor=look.color, elinewidth=1.1, capsize=0, zorder=4
        )
        for artist in markers(look, filling(row["verdict"])):
            artist.set_data([row[x]], [row[y]])
            artist.set_zorder(5)
            axes.add_line(artist)


def markers(look: Look, how: str) -> list[Line2D]:
    """The marker of a cell, and what is drawn over it."""
    shape: dict[str, Any] = {"color": look.color, "linestyle": "none", "marker": look.marker, "markersize": SIZE}
    shape |= {"markeredgecolor": look.color, "markeredgewidth": 1.1}
    if how == FULL:
        return [Line2D([], [], **shape)]
    if how == HALF:
        return [Line2D([], [], **shape, fillstyle="bottom", markerfacecoloralt="white")]
    empty = Line2D([], [], **shape, markerfacecolor="white")
    over = {DOT: (".", 3.5), CROSS: ("x", 3.6)}.get(how)
    if over is None:
        return [empty]
    marker, size = over
    inner: dict[str, Any] = {
        "color": look.color,
        "linestyle": "none",
        "marker": marker,
        "markersize": size,
        "markeredgewidth": 0.9,
    }
    return [empty, Line2D([], [], **inner)]


def verdict_handles(rows: pd.DataFrame) -> Legend:
    """What the fillings mean that occur in ``rows``; nothing if no cell has a verdict."""
    there = {filling(each) for each in rows["verdict"] if isinstance(each, str)}
    ink = Look(INK, "o", "-")
    return [(tuple(markers(ink, how)), text) for how, text in _MEANING.items() if how in there]


def baseline_handle() -> tuple[Handle, str]:
    """The uncompressed model in a legend."""
    return Line2D([], [], color=INK, marker="*", markersize=8, linestyle="none"), "baseline"


def baseline(axes: Axes, x: float, y: float) -> None:
    """The uncompressed model."""
    axes.plot([x], [y], color=INK, marker="*", markersize=10, linestyle="none", zorder=3.5)


def controls(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    """Undirected damage, as small gray points behind everything else."""
    axes.plot(x, y, color=GRAY, marker="o", markersize=2.8, linestyle="none", alpha=0.75, zorder=2, markeredgewidth=0)


def control_handle() -> tuple[Handle, str]:
    """Undirected damage in a legend."""
    return Line2D([], [], color=GRAY, marker="o", markersize=3.2, linestyle="none"), "undirected damage (controls)"
