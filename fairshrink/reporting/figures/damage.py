"""Bias against damage: what lost signal explains of a change, and whether undirected damage does the rest."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fairshrink.contracts import BASELINE
from fairshrink.reporting import selection
from fairshrink.reporting.figures import frame, points
from fairshrink.reporting.style import INK, Look

_NULL, _BAND, _MARGIN = "#9fb6cd", "#e3e3e3", (0, (4, 2))


def bias_by_damage(cells: pd.DataFrame, appearance: dict[str, Look], title: str) -> Figure:
    """Two panels per bias metric over the damage: the headline with its null, and the residual with the controls' band.

    ``cells``: of one model and task. Above, a bar behind each compression is what its loss of signal alone would
    give (the null with its interval). Below, the band is where the residual of undirected damage is expected.
    """
    bias = selection.bias(cells)
    names = selection.metrics(bias)
    figure, panels = frame.grid(len(names), rows_each=2, height=2.35)
    for (upper, lower), name in zip(panels, names, strict=False):
        rows = bias[bias["metric"] == name]
        frame.headed(upper, rows)
        _values(upper, rows, appearance)
        lower.set_ylabel("beyond lost signal")
        _residuals(lower, rows, appearance)
        lower.set_xlabel("damage")
    if not names:
        for panel in panels[0]:
            frame.nothing(panel, "no bias metric was scored")
    made = selection.compressed(bias)
    handles = frame.line_handles(list(made["line"]), appearance, lambda line: False)
    below = [*points.verdict_handles(made), *_shapes(bias)]
    frame.legends(figure, title, handles, below)
    return figure


def band(rows: pd.DataFrame) -> pd.DataFrame:
    """Damage, low and high of the residual of undirected damage, by damage; the outermost where cells coincide."""
    known = rows.dropna(subset=["damage", "control_low", "control_high"])
    merged = known.groupby("damage", sort=True).agg(low=("control_low", "min"), high=("control_high", "max"))
    return merged.reset_index()


def _values(axes: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    made, gray = _shown(rows, "value")
    if made.empty and gray.empty:
        frame.nothing(axes, _why(rows))
        return
    low, high = points.paired(made)
    start = rows.loc[rows["method"] == BASELINE, "value"].mean()
    levels = [start, rows["unbiased"].mean()]
    frame.scaled(axes, [*made["damage"], *gray["damage"]])
    frame.span(axes, [made["value"], low, high, made["null_low"], made["null_high"], gray["value"], levels])
    frame.references(axes, [(start, "baseline", "-"), (levels[1], "unbiased", (0, (5, 2)))])
    null = made.dropna(subset=["null"])
    bars = points.lengths(null["null"], null["null_low"], null["null_high"])
    axes.errorbar(null["damage"], null["null"], bars, fmt="none", ecolor=_NULL, elinewidth=6, zorder=2)
    axes.plot(null["damage"], null["null"], marker="_", markersize=8, color=INK, linestyle="none", zorder=3)
    points.controls(axes, gray["damage"], gray["value"])
    points.draw(axes, made, "damage", "value", low, high, appearance)
    _missing(axes, rows, made)


def _residuals(axes: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    made, gray = _shown(rows, "residual")
    if made.empty:
        frame.nothing(axes, "no residual is known:\nthe loss of signal was not measured")
        return
    around = band(made)
    frame.scaled(axes, [each for part in _shown(rows, "value") for each in part["damage"]])
    margin = made["margin"].max()
    drawn = [made["residual"], made["residual_low"], made["residual_high"], gray["residual"], [margin, -margin]]
    frame.span(axes, [*drawn, around["low"], around["high"]])
    if len(around):
        axes.fill_between(around["damage"], around["low"], around["high"], color=_BAND, linewidth=0, zorder=1)
    frame.references(
        axes, [(0.0, "lost signal\nexplains it", "-"), (margin, "margin", _MARGIN), (-margin, "", _MARGIN)]
    )
    points.controls(axes, gray["damage"], gray["residual"])
    points.draw(axes, made, "damage", "residual", made["residual_low"], made["residual_high"], appearance)


def _shown(rows: pd.DataFrame, y: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compressions and controls of undirected damage that have a damage and a value in ``y``."""
    known = rows[rows["damage"].notna() & rows[y].notna()]
    return selection.compressed(known), selection.undirected(known)


def _why(rows: pd.DataFrame) -> str:
    if selection.compressed(rows).empty:
        return "nothing was compressed"
    return "no damage was measured:\nadd the metric fidelity to the study"


def _missing(axes: Axes, rows: pd.DataFrame, made: pd.DataFrame) -> None:
    left_out = len(selection.compressed(rows)) - len(made)
    if left_out:
        axes.set_title(f"{left_out} without damage or value", loc="right", fontsize=7.5, fontweight="normal")


def _shapes(bias: pd.DataFrame) -> frame.Legend:
    entries: list[tuple[frame.Handle, str]] = []
    made, gray = _shown(bias, "value")
    if made["null"].notna().any():
        tick = Line2D([], [], marker="_", color=INK, linestyle="none", markersize=8)
        entries.append(((Patch(color=_NULL), tick), "null: what lost signal alone gives"))
    if len(gray):
        entries.append(points.control_handle())
    if len(band(made)):
        entries.append((Patch(color=_BAND), "95% of undirected damage"))
    return entries
