"""Whether metrics can be believed: their tests of validity, and whether they agree with each other."""

from __future__ import annotations

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from fairshrink.reporting.figures import frame
from fairshrink.reporting.style import FAINT, INK, QUIET
from fairshrink.reporting.tables.checked import is_true

TESTS = ("dose", "non_social", "swap", "templates", "splits", "performance")
_COLOR = {True: "#cfe8d8", False: "#f3c9c0", None: "#f6f8fa"}
_WORD = {True: "passed", False: "FAILED", None: "undecided"}
_HATCH = {True: "", False: "////", None: ""}
_SQUARE, _LETTER = 1.25, 0.075


def validity(table: pd.DataFrame, title: str) -> Figure:
    """Metrics by tests: passed, failed or not tested, with value and threshold; ``table``: of one model and task."""
    metrics = sorted(set(table["metric"]))
    there = set(table["test"])
    tests = [each for each in TESTS if each in there] + sorted(there - set(TESTS))
    figure, ((axes,),) = _plane(len(tests), len(metrics), max((len(each) for each in metrics), default=0), 0.5)
    if not metrics:
        frame.nothing(axes, "no metric was tested on this model:\nadd controls and doses to the study")
        frame.legends(figure, title, [])
        return figure
    for y, metric in enumerate(metrics):
        for x, test in enumerate(tests):
            rows = table[(table["metric"] == metric) & (table["test"] == test)]
            _square(axes, x, y, rows)
    _ticks(axes, tests, metrics)
    below = [(Patch(facecolor=_COLOR[each], hatch=_HATCH[each], edgecolor=FAINT), _WORD[each]) for each in _COLOR]
    frame.legends(figure, title, [], below)
    return figure


def agreement(table: pd.DataFrame, title: str) -> Figure:
    """Metrics by metrics: below the diagonal the rank correlation with its interval, above that of the residuals.

    On the diagonal the reliability of a metric's differences. ``table``: of one model and task.
    """
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    figure, ((axes,),) = _plane(len(names), len(names), max((len(each) for each in names), default=0), 0.62)
    if not names:
        frame.nothing(axes, "fewer than two metrics were scored on this model")
        frame.legends(figure, title, [])
        return figure
    reliability: dict[str, float] = {}
    for _, row in table.iterrows():
        x, y = sorted((names.index(row["first"]), names.index(row["second"])))
        spread = "" if pd.isna(row["ci_low"]) else f"\n[{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        _tile(axes, x, y, row["spearman"], spread)
        _tile(axes, y, x, row["residual_spearman"], "")
        reliability |= {row["first"]: row["reliability_first"], row["second"]: row["reliability_second"]}
    for i, name in enumerate(names):
        known = reliability.get(name)
        text = "reliability\n–" if known is None or pd.isna(known) else f"reliability\n{known:.2f}"
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor="white", edgecolor=FAINT, linewidth=0.8))
        axes.text(i, i, text, ha="center", va="center", fontsize=7.5, color=QUIET)
    _ticks(axes, names, names)
    n = table["n_checkpoints"].max()
    count = "" if pd.isna(n) else f" over {int(n)} checkpoints"
    notes = [f"below the diagonal: Spearman{count}", "above: of what lost signal does not explain"]
    frame.legends(figure, title, [], [(Patch(facecolor="none"), each) for each in notes])
    return figure


def _plane(n_columns: int, n_rows: int, longest: int, tall: float) -> tuple[Figure, list[list[Axes]]]:
    width = max(6.6, _SQUARE * n_columns + _LETTER * longest + 0.6)
    figure, panels = frame.grid(1, height=max(1.2, tall * n_rows + 0.5), width=width)
    for axes in panels[0]:
        axes.grid(visible=False)
    return figure, panels


def _square(axes: Axes, x: int, y: int, rows: pd.DataFrame) -> None:
    if rows.empty:
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="white", edgecolor=FAINT, linewidth=0.8))
        axes.text(x, y, "untested", ha="center", va="center", fontsize=7.5, color=FAINT)
        return
    row = rows.iloc[0]
    truth = is_true(row["passed"])
    axes.add_patch(
        Rectangle(
            (x - 0.5, y - 0.5), 1, 1, facecolor=_COLOR[truth], hatch=_HATCH[truth], edgecolor=FAINT, linewidth=0.8
        )
    )
    numbers = "" if pd.isna(row["value"]) else f"\n{row['value']:.3g}"
    if numbers and pd.notna(row["threshold"]):
        numbers += f" (limit {row['threshold']:.3g})"
    box = {"facecolor": _COLOR[truth], "edgecolor": "none", "pad": 1.2}
    text = (_WORD[truth] + numbers).replace("-", "−")
    axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=INK, bbox=box)


def _tile(axes: Axes, x: int, y: int, value: float, more: str) -> None:
    known = not pd.isna(value)
    color = colormaps["PuOr"](0.5 + 0.36 * float(value)) if known else "#f6f8fa"
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=1.2))
    text = (f"{value:.2f}{more}" if known else "–").replace("-", "−")
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color=INK)


def _ticks(axes: Axes, across: list[str], down: list[str]) -> None:
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.set_xticks(range(len(across)), [each.replace("_", "\n") for each in across], fontsize=8)
    axes.set_yticks(range(len(down)), [each.replace("_", " ") for each in down], fontsize=8)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    for spine in axes.spines.values():
        spine.set_visible(False)
