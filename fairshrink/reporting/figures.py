"""Figures, made only from ``results.parquet``: bias against sparsity, and bias against the task score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from fairshrink.analysis import results_file
from fairshrink.analysis.cells import cells, headlines
from fairshrink.analysis.verdicts import task_metric
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting.style import FAINT, INK, grid, looks, save, styled

Looks = dict[str, dict[str, Any]]
_QUIET = "#57606a"


def write(results: Path, folder: Path) -> None:
    """Write every figure into ``folder`` from the results table at ``results``."""
    table, about = results_file.read(results)
    summary = cells(headlines(table, about))
    lines = summary[summary["method"] != BASELINE].drop_duplicates("line").sort_values("line")
    appearance = looks(list(lines.loc[~lines["control"], "line"]), list(lines.loc[lines["control"], "line"]))
    with styled():
        for (model, task), group in table.groupby(["model", "task"]):
            mine = summary[(summary["model"] == model) & (summary["task"] == task)]
            stem = f"{group['model'].iloc[0]}_{group['task'].iloc[0]}"
            save(bias_by_sparsity(mine, appearance), folder / f"{stem}_bias_by_sparsity")
            save(bias_by_task_score(mine, appearance), folder / f"{stem}_bias_by_task_score")


def bias_by_sparsity(cells: pd.DataFrame, appearance: Looks) -> Figure:
    """One panel per bias metric, one line per method; methods without sparsity are in a strip at the right."""
    bias = cells[cells["kind"].isin(BIAS_KINDS)]
    metrics = sorted(set(bias["metric"]))
    figure, panels = grid(len(metrics))
    for axes, metric in zip(panels, metrics, strict=False):
        _sparsity_panel(axes, bias[bias["metric"] == metric], appearance)
        _name(axes, bias[bias["metric"] == metric])
    return _finish(figure, panels, cells, appearance, "sparsity of the pruned weights")


def bias_by_task_score(cells: pd.DataFrame, appearance: Looks) -> Figure:
    """One panel per bias metric: bias and task score of each compression; larger markers are sparser models."""
    bias = cells[cells["kind"].isin(BIAS_KINDS)]
    name = task_metric(cells["metric"], cells["kind"])
    scores = cells[cells["metric"] == name].set_index(["method", "setting"])
    metrics = sorted(set(bias["metric"])) if name else []
    figure, panels = grid(len(metrics))
    for axes, metric in zip(panels, metrics, strict=False):
        _task_score_panel(axes, bias[bias["metric"] == metric], scores, appearance)
        _name(axes, bias[bias["metric"] == metric])
    return _finish(figure, panels, cells, appearance, (name or "").replace("_", " "))


def _sparsity_panel(axes: Axes, rows: pd.DataFrame, appearance: Looks) -> None:
    start = rows[rows["method"] == BASELINE]
    pruned = rows[rows["sparsity"].notna() & (rows["method"] != BASELINE)]
    others = rows[rows["sparsity"].isna() & (rows["method"] != BASELINE)]
    opacity = 0.13 if pruned["line"].nunique() < 5 else 0.06
    for name, group in pruned.groupby("line", sort=False):
        path = pd.concat([start.assign(sparsity=0.0), group.sort_values("sparsity")])
        x, look = path["sparsity"].to_numpy(float), appearance[name]
        axes.fill_between(x, path["low"], path["high"], color=look["color"], alpha=opacity, linewidth=0)
        axes.plot(x, path["value"], **look, markeredgecolor="white", markeredgewidth=0.6)
    farthest = float(pruned["sparsity"].max()) if len(pruned) else 0.0
    _points(axes, start, [0.0] * len(start), {BASELINE: {"color": INK, "marker": "o"}})
    edge = farthest + 0.05 if len(pruned) else 0.05
    step = max(0.07, 0.09 * edge)
    positions = [edge + step * (i + 0.6) for i in range(len(others))]
    _points(axes, others, positions, appearance)
    if len(others):
        axes.axvline(edge, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_xlim(-0.04 * max(edge, 0.2), (positions[-1] + 0.7 * step) if positions else edge)
    levels = sorted({0.0, *pruned["sparsity"]})
    axes.set_xticks(_apart(levels, 0.09 * edge), [f"{each:.0%}" for each in _apart(levels, 0.09 * edge)])
    _references(axes, rows)


def _task_score_panel(axes: Axes, rows: pd.DataFrame, scores: pd.DataFrame, appearance: Looks) -> None:
    x = [scores["value"].get(cell, np.nan) for cell in zip(rows["method"], rows["setting"], strict=True)]
    rows = rows.assign(task_score=x).dropna(subset=["task_score"])
    start = rows[rows["method"] == BASELINE]
    for name, group in rows[rows["method"] != BASELINE].groupby("line", sort=False):
        look = appearance[name]
        path = pd.concat([start, group]) if group["sparsity"].notna().all() else group
        if len(path) > len(group):
            axes.plot(path["task_score"], path["value"], color=look["color"], linewidth=1.1, alpha=0.55)
        size = 26 + 90 * group["sparsity"].fillna(0.0).clip(0, 1)
        axes.errorbar(
            group["task_score"], group["value"], _error_lengths(group), fmt="none", ecolor=look["color"], alpha=0.35
        )
        axes.scatter(group["task_score"], group["value"], s=size, **look, edgecolors="white", linewidths=0.6, zorder=3)
    _points(axes, start, list(start["task_score"]), {BASELINE: {"color": INK, "marker": "o"}})
    _mark_loss(axes, scores)
    _references(axes, rows)


def _points(axes: Axes, rows: pd.DataFrame, positions: list[float], appearance: Looks) -> None:
    """Single markers with their intervals."""
    for x, (_, row) in zip(positions, rows.iterrows(), strict=True):
        lengths = _error_lengths(rows.loc[[row.name]])
        axes.errorbar([x], [row["value"]], lengths, **appearance[row["line"]], elinewidth=1.2, zorder=4)


def _error_lengths(rows: pd.DataFrame) -> np.ndarray:
    """Lengths of error bars, at least 0: a percentile interval need not contain its point estimate."""
    below, above = rows["value"] - rows["low"], rows["high"] - rows["value"]
    return np.nan_to_num(np.clip(np.array([below, above], dtype=float), 0.0, None))


def _references(axes: Axes, rows: pd.DataFrame) -> None:
    """Labeled lines at what an unbiased and a random model score."""
    unbiased, random = rows["unbiased"].mean(), rows["random"].mean()
    lines = [(unbiased, "unbiased", (0, (5, 2))), (random, "random\nmodel", (0, (1, 1.5)))]
    drawn = [each for each in lines if not pd.isna(each[0])]
    low, high = axes.get_ylim()
    low, high = min([low, *(y for y, _, _ in drawn)]), max([high, *(y for y, _, _ in drawn)])
    height = (high - low) or 1.0
    axes.set_ylim(low - 0.07 * height, high + 0.07 * height)
    if len(drawn) == 2 and abs(unbiased - random) < 0.01 * height:
        drawn = [(unbiased, "unbiased,\nrandom\nmodel", (0, (5, 2)))]
    across = blended_transform_factory(axes.transAxes, axes.transData)
    crowded = len(drawn) == 2 and abs(unbiased - random) < 0.12 * height
    for y, label, dashes in drawn:
        lower = crowded and y == min(each for each, _, _ in drawn)
        alignment = "top" if lower else "bottom" if crowded else "center"
        axes.axhline(y, color=FAINT, linewidth=1.1, linestyle=dashes, zorder=1)
        axes.text(1.01, y, label, transform=across, ha="left", va=alignment, fontsize=7.5, color=_QUIET)


def _mark_loss(axes: Axes, scores: pd.DataFrame) -> None:
    """Shade the side where a change of bias is attributed to lost task performance (`verdicts.verdicts`)."""
    baseline, random = scores["baseline"].mean(), scores["random"].mean()
    if pd.isna(random) or abs(baseline - random) < 1e-9:
        return
    half, (left, right) = (baseline + random) / 2, axes.get_xlim()
    if not left < half < right:
        return
    end = left if random < baseline else right
    axes.axvspan(end, half, color="#fbe3c4", alpha=0.45, linewidth=0, zorder=0)
    axes.set_xlim(left, right)
    across = blended_transform_factory(axes.transData, axes.transAxes)
    axes.text(
        (end + half) / 2, 0.985, "performance lost", transform=across, ha="center", va="top", fontsize=7.5, color=_QUIET
    )


def _name(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_title(rows["metric"].iloc[0].replace("_", " "), loc="left")
    axes.set_ylabel(rows["statistic"].iloc[0].replace("_", " "))


def _finish(figure: Figure, panels: list[Axes], cells: pd.DataFrame, appearance: Looks, x_label: str) -> Figure:
    if not panels[0].get_title(loc="left"):
        panels[0].set_axis_off()
        panels[0].text(0.5, 0.5, "nothing to plot:\nno bias metric, or no task score", ha="center", color=FAINT)
        return figure
    for axes in panels:
        axes.set_xlabel(x_label)
    handles = [Line2D([], [], color=INK, marker="o", linestyle="none", label="baseline")]
    with_sparsity = set(cells.loc[cells["sparsity"].notna(), "line"])
    for name in [each for each in appearance if each in set(cells["line"])]:
        style = "-" if name in with_sparsity else "none"
        handles.append(Line2D([], [], **appearance[name], linestyle=style, label=name.replace("_", " ")))
    columns = _columns([str(each.get_label()) for each in handles], figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.4)
    model, task = cells["model"].iloc[0], cells["task"].iloc[0]
    spread = "one standard deviation over splits" if cells["n_splits"].max() > 1 else "bootstrap intervals"
    text = f"{model}, {task} · bands and bars: {spread}"
    figure.supxlabel(text, fontsize=8, color=_QUIET, x=0.01, ha="left")
    return figure


def _columns(labels: list[str], width: float) -> int:
    """The largest number of legend columns that fits a width in inches; a legend is filled column by column."""
    widths = [0.6 + 0.07 * len(label) for label in labels]
    fits = (n for n in range(len(labels), 1, -1) if sum(map(max, np.array_split(widths, n))) <= width)
    return next(fits, 1)


def _apart(levels: list[float], least: float) -> list[float]:
    """The levels whose labels do not overlap: at least ``least`` apart."""
    labeled = levels[:1]
    for each in levels[1:]:
        if each - labeled[-1] >= least:
            labeled.append(each)
    return labeled
