"""Dose and response: does a metric rise when a model is given more of a known stereotype?"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fairshrink.contracts import BASELINE
from fairshrink.reporting import selection
from fairshrink.reporting.figures import frame, points
from fairshrink.reporting.outputs import DOSE
from fairshrink.reporting.style import COLORS, QUIET
from fairshrink.reporting.tables.checked import is_true

_MARKS = ("o", "s", "^", "D", "v", "p")


def dose_response(cells: pd.DataFrame, validity: pd.DataFrame, title: str) -> Figure:
    """One panel per bias metric, one line per stereotype; ``cells`` and ``validity`` are of one model and task."""
    bias = selection.bias(cells)
    dosed = with_doses(bias)
    names = selection.metrics(bias)
    figure, panels = frame.grid(len(names))
    kinds = sorted(set(dosed["stereotype"]))
    for (axes,), name in zip(panels, names, strict=False):
        rows = dosed[dosed["metric"] == name]
        frame.headed(axes, bias[bias["metric"] == name])
        axes.set_xlabel("dose")
        if rows.empty:
            frame.nothing(axes, "no dose has a value of this metric")
            continue
        _panel(axes, rows, bias[(bias["metric"] == name) & (bias["method"] == BASELINE)], kinds)
        _judge(axes, validity[(validity["metric"] == name) & (validity["test"] == "dose")])
    if not names:
        frame.nothing(panels[0][0], "no bias metric was scored")
    handles = [(Line2D([], [], **_look(kinds, each)), each.replace("_", " ")) for each in kinds]
    frame.legends(figure, title, [points.baseline_handle(), *handles])
    return figure


def with_doses(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of doses with a value, their ``dose`` and ``stereotype`` read from a setting such as ``gender=8``.

    Further settings, such as the seed of a control, are part of no name: their cells are drawn as points of one line.
    """
    rows = cells[(cells["method"] == DOSE) & cells["value"].notna()]
    found = rows["setting"].map(_dose)
    known = rows[found.notna()].copy()
    known["stereotype"] = [each[0] for each in found.dropna()]
    known["dose"] = [each[1] for each in found.dropna()]
    return known


def _dose(setting: str) -> tuple[str, float] | None:
    parts = [part.strip() for part in re.split(r"[,;]", setting) if not part.strip().startswith("control_seed=")]
    for part in parts:
        name, _, number = part.partition("=")
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", number):
            return name, float(number)
    return None


def _panel(axes: Axes, rows: pd.DataFrame, start: pd.DataFrame, kinds: list[str]) -> None:
    low, high = points.paired(rows)
    base = start["value"].dropna()
    unbiased = rows["unbiased"].mean()
    frame.span(axes, [rows["value"], low, high, base, [unbiased]])
    frame.span(axes, [rows["dose"], [0.0]], across=True)
    frame.references(axes, [(base.mean(), "baseline", "-"), (unbiased, "unbiased", (0, (5, 2)))])
    for kind, group in rows.groupby("stereotype", sort=True):
        look = _look(kinds, str(kind))
        mean = group.groupby("dose")["value"].mean()
        path = pd.concat([pd.Series({0.0: base.mean()}), mean]) if len(base) and 0.0 not in mean.index else mean
        axes.plot(path.index, path.to_numpy(), **{**look, "marker": "none"}, linewidth=1.2)
        bars = points.lengths(group["value"], low.loc[group.index], high.loc[group.index])
        axes.errorbar(group["dose"], group["value"], bars, **{**look, "linestyle": "none"}, elinewidth=1.1, zorder=4)
    for value in base:
        points.baseline(axes, 0.0, value)


def _judge(axes: Axes, tested: pd.DataFrame) -> None:
    """What the test of the metric's validity said, above the panel."""
    for _, row in tested.head(1).iterrows():
        truth = is_true(row["passed"])
        said = "not decided" if truth is None else "passed" if truth else "failed"
        number = "" if pd.isna(row["value"]) else f"{row['value']:.2f} "
        text = f"{number}{said}".replace("-", "−")
        axes.set_title(text, loc="right", fontsize=8, fontweight="normal", color=QUIET)


def _look(kinds: list[str], kind: str) -> dict[str, Any]:
    i = kinds.index(kind)
    dashes = ("-", "--", ":", "-.")[i % 4]
    return {"color": COLORS[i % len(COLORS)], "marker": _MARKS[i % len(_MARKS)], "linestyle": dashes}
