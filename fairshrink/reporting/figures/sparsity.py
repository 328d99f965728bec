"""Bias against sparsity: one line per way of pruning; other compressions are in a strip at the right."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairshrink.contracts import BASELINE
from fairshrink.reporting import selection
from fairshrink.reporting.figures import frame, points
from fairshrink.reporting.style import FAINT, Look


def bias_by_sparsity(cells: pd.DataFrame, appearance: dict[str, Look], title: str) -> Figure:
    """One panel per bias metric; ``cells`` are of one model and task. Lines start at the baseline."""
    bias = selection.bias(cells)
    names = selection.metrics(bias)
    figure, panels = frame.grid(len(names))
    for (axes,), name in zip(panels, names, strict=False):
        rows = bias[bias["metric"] == name]
        frame.headed(axes, rows)
        axes.set_xlabel("sparsity")
        _panel(axes, rows, appearance)
    if not names:
        frame.nothing(panels[0][0], "no bias metric was scored")
    made = selection.compressed(bias)
    pruned = set(made.loc[made["sparsity"].notna(), "line"])
    above = [points.baseline_handle(), *frame.line_handles(list(made["line"]), appearance, lambda x: x in pruned)]
    frame.legends(figure, title, above, points.verdict_handles(made))
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    made = selection.compressed(rows[rows["value"].notna()])
    start = rows[rows["method"] == BASELINE]
    pruned, others = made[made["sparsity"].notna()], made[made["sparsity"].isna()]
    if pruned.empty:
        frame.nothing(axes, "no pruned model has a value")
        return
    edge = float(pruned["sparsity"].max()) + 0.06
    step = max(0.06, 0.08 * edge)
    placed = pd.concat([pruned.assign(x=pruned["sparsity"]), others.assign(x=_places(others, edge, step))])
    placed["x"] = placed["x"].astype(float) + _aside(placed, 0.012 * edge)
    low, high = points.paired(placed)
    unbiased, random = rows["unbiased"].mean(), rows["random"].mean()
    frame.span(axes, [placed["value"], low, high, start["value"], [unbiased, random]])
    right = max([edge, *placed["x"]]) + (0.7 * step if len(others) else 0.0)
    axes.set_xlim(-0.04 * max(edge, 0.2), right)
    for name, group in placed[placed["sparsity"].notna()].groupby("line", sort=False):
        path = pd.concat([start.assign(x=0.0), group.sort_values("x")])
        look = appearance[str(name)]
        axes.plot(path["x"], path["value"], color=look.color, linestyle=look.dashes, linewidth=1.2, zorder=3)
    if len(others):
        axes.axvline(edge, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)))
    levels = _apart(sorted({0.0, *pruned["sparsity"]}), 0.12 * right)
    axes.set_xticks(levels, [f"{each:.0%}" for each in levels])
    lines: list[frame.Level] = [(start["value"].mean(), "baseline", "-"), (unbiased, "unbiased", (0, (5, 2)))]
    frame.references(axes, [*lines, (random, "random model", (0, (1, 1.5)))])
    points.draw(axes, placed, "x", "value", low, high, appearance)
    for value in start["value"].dropna():
        points.baseline(axes, 0.0, value)


def _places(others: pd.DataFrame, edge: float, step: float) -> list[float]:
    """Positions right of ``edge``, one per line."""
    lines = list(dict.fromkeys(others["line"]))
    return [edge + step * (lines.index(line) + 0.7) for line in others["line"]]


def _aside(placed: pd.DataFrame, step: float) -> pd.Series:
    """A shift of the lines that have a point at the same sparsity, so that none hides another."""
    rank = placed.groupby("x")["line"].rank(method="dense") - 1
    n = placed.groupby("x")["line"].transform("nunique")
    return (rank - (n - 1) / 2) * step


def _apart(levels: list[float], least: float) -> list[float]:
    """The levels whose labels do not overlap: at least ``least`` apart."""
    labeled = levels[:1]
    for each in levels[1:]:
        if each - labeled[-1] >= least:
            labeled.append(each)
    return labeled
