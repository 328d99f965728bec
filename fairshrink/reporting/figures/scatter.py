"""Bias against what a compression costs or saves: task performance, bytes, latency."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.contracts import BASELINE
from fairshrink.reporting import selection
from fairshrink.reporting.figures import frame, points
from fairshrink.reporting.style import GRAY, QUIET, Look

_LOST = "#fbe3c4"


def bias_by_task_score(cells: pd.DataFrame, appearance: dict[str, Look], title: str) -> Figure:
    """One panel per bias metric: headline and task score; shaded where more than half of the performance is lost."""
    bias = selection.bias(cells)
    scores = cells[cells["kind"] == "task"].drop_duplicates(selection.CELL)
    name = scores["metric"].iloc[0].replace("_", " ") if len(scores) else "task score"
    figure, panels, names = _panels(bias, "task_score", "there is no task score", name)
    for (axes,), metric in zip(panels, names, strict=False):
        rows = bias[bias["metric"] == metric]
        made, start, gray = _parts(rows, "task_score")
        if made.empty and gray.empty:
            continue
        halfway = _halfway(rows)
        frame.span(axes, [made["task_score"], gray["task_score"], start["task_score"], halfway], across=True)
        _shade(axes, rows, halfway)
        _draw(axes, rows, made, start, gray, "task_score", appearance)
    lost = Patch(color=_LOST)
    gray = _parts(bias, "task_score")[2]
    more: list[tuple[frame.Handle, str]] = [points.control_handle()] if len(gray) else []
    if bias["task_score_reference"].notna().any():
        more.append((lost, "more than half of the performance lost"))
    _legends(figure, bias, appearance, title, more)
    return figure


def bias_by_bytes(cells: pd.DataFrame, appearance: dict[str, Look], title: str) -> Figure:
    """One panel per bias metric: headline and stored bytes; ringed: none as small is nearer to unbiased."""
    bias = selection.bias(cells)
    figure, panels, names = _panels(bias, "bytes", "the size of the models is not known", "size on disk (MB)")
    for (axes,), metric in zip(panels, names, strict=False):
        rows = bias[bias["metric"] == metric].assign(bytes=lambda table: table["bytes"].astype(float) / 1e6)
        made, start, _ = _parts(rows, "bytes")
        if made.empty:
            continue
        sizes = [*made["bytes"], *start["bytes"]]
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.2, max(sizes) * 1.2)
        _decimal(axes)
        best = frontier(pd.concat([made, start]), "bytes")
        _ring(axes, best, "bytes")
        _draw(axes, rows, made, start, made.iloc[:0], "bytes", appearance)
    _legends(figure, bias, appearance, title, [_ring_handle("small")])
    return figure


def bias_by_latency(cells: pd.DataFrame, latency: pd.DataFrame, appearance: dict[str, Look], title: str) -> Figure:
    """One panel per bias metric: headline and latency relative to the baseline's, as `costs.latency` gives it."""
    bias = selection.bias(cells).merge(latency, on=selection.CELL, how="left")
    bias["latency_ratio"] = bias["latency_ratio"].astype(float).where(bias["method"] != BASELINE, 1.0)
    label = "latency (baseline = 1)"
    figure, panels, names = _panels(bias, "latency_ratio", "no latency was measured", label)
    for (axes,), metric in zip(panels, names, strict=False):
        rows = bias[bias["metric"] == metric]
        made, start, _ = _parts(rows, "latency_ratio")
        if made.empty:
            continue
        frame.span(axes, [made["latency_ratio"], start["latency_ratio"]], across=True)
        _ring(axes, frontier(pd.concat([made, start]), "latency_ratio"), "latency_ratio")
        _draw(axes, rows, made, start, made.iloc[:0], "latency_ratio", appearance)
    _legends(figure, bias, appearance, title, [_ring_handle("fast")])
    return figure


def frontier(rows: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The cells than which no cheaper one is as near to the unbiased value, sorted by ``cost``.

    Left out are cells that are not measurable and those that lost more than half of the task performance: a broken
    model is not a fair one. Empty where the unbiased value is not known.
    """
    sound = rows[(rows["verdict"] != kinds.NOT_MEASURABLE) & ~(rows["performance_kept"] < selection.KEPT).fillna(False)]
    sound = sound.assign(distance=(sound["value"] - sound["unbiased"]).abs()).dropna(subset=["distance", cost])
    ordered = sound.sort_values([cost, "distance"], kind="stable")
    return ordered[ordered["distance"] < ordered["distance"].cummin().shift(fill_value=float("inf"))]


def _panels(bias: pd.DataFrame, x: str, why: str, label: str) -> tuple[Figure, list[list[Axes]], list[str]]:
    names = selection.metrics(bias)
    figure, panels = frame.grid(len(names))
    for (axes,), metric in zip(panels, names, strict=False):
        rows = bias[bias["metric"] == metric]
        frame.headed(axes, rows)
        axes.set_xlabel(label)
        if _parts(rows, x)[0].empty and _parts(rows, x)[2].empty:
            frame.nothing(axes, why if len(selection.compressed(rows)) else "nothing was compressed")
    if not names:
        frame.nothing(panels[0][0], "no bias metric was scored")
    return figure, panels, names


def _parts(rows: pd.DataFrame, x: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Compressions, baseline and controls of damage that have a value and an ``x``."""
    known = rows[rows[x].notna() & rows["value"].notna()]
    return selection.compressed(known), known[known["method"] == BASELINE], selection.undirected(known)


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    made: pd.DataFrame,
    start: pd.DataFrame,
    gray: pd.DataFrame,
    x: str,
    appearance: dict[str, Look],
) -> None:
    low, high = points.paired(made)
    unbiased, random = rows["unbiased"].mean(), rows["random"].mean()
    frame.span(axes, [made["value"], low, high, start["value"], gray["value"], [unbiased, random]])
    levels: list[frame.Level] = [(start["value"].mean(), "baseline", "-"), (unbiased, "unbiased", (0, (5, 2)))]
    frame.references(axes, [*levels, (random, "random model", (0, (1, 1.5)))])
    points.controls(axes, gray[x], gray["value"])
    points.draw(axes, made, x, "value", low, high, appearance)
    for _, row in start.iterrows():
        points.baseline(axes, row[x], row["value"])


def _halfway(rows: pd.DataFrame) -> list[float]:
    baseline, reference = rows["task_score_baseline"].mean(), rows["task_score_reference"].mean()
    return [(baseline + reference) / 2] if pd.notna(baseline) and pd.notna(reference) else []


def _shade(axes: Axes, rows: pd.DataFrame, halfway: list[float]) -> None:
    """Shade the side where more than half of the distance to the reference of skill is lost."""
    left, right = axes.get_xlim()
    for half in halfway:
        end = left if rows["task_score_reference"].mean() < half else right
        axes.axvspan(end, half, color=_LOST, alpha=0.5, linewidth=0, zorder=0)
    axes.set_xlim(left, right)


def _ring(axes: Axes, best: pd.DataFrame, x: str) -> None:
    axes.plot(best[x], best["value"], color=GRAY, linewidth=0.9, linestyle=(0, (2, 1.5)), zorder=2)
    axes.plot(best[x], best["value"], "o", markersize=13, markerfacecolor="none", markeredgecolor=QUIET, zorder=3)


def _ring_handle(what: str) -> tuple[frame.Handle, str]:
    ring = Line2D([], [], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=QUIET, color=GRAY)
    ring.set_linestyle((0, (2, 1.5)))
    return ring, f"nearest to unbiased of those as {what}"


def _decimal(axes: Axes) -> None:
    """Plain numbers at a logarithmic axis that may span less than a decade."""
    low, high = axes.get_xlim()
    subs = (
        (1.0,) if high > 100 * low else (1.0, 2.0, 5.0) if high > 4 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    )
    axes.xaxis.set_major_locator(LogLocator(10, subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legends(
    figure: Figure,
    bias: pd.DataFrame,
    appearance: dict[str, Look],
    title: str,
    more: frame.Legend,
) -> None:
    made = selection.compressed(bias)
    above = [points.baseline_handle(), *frame.line_handles(list(made["line"]), appearance, lambda line: False)]
    frame.legends(figure, title, above, [*points.verdict_handles(made), *(more if len(made) else [])])
