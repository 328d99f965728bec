"""What figures share: panels, references with labels, legends outside of the data, panels with nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, NullLocator

from fairshrink.reporting.style import FAINT, INK, QUIET, Dashes, Look

PER_ROW = 3
WIDTH, HEIGHT, SIDES = 3.5, 2.75, 1.4
"""Inches of a panel, and of what is above and below all panels."""
_LABEL, _SMALL = 0.075, 7.5
"""Least distance of two labels of references, as a share of the panel's height, and their size in points."""
Handle = Any
"""An artist of a legend, or a tuple of several drawn over each other."""
Level = tuple[float, str, Dashes]
"""A value of the vertical axis that is marked: value, label, dashes."""
Legend = Sequence[tuple[Handle, str]]


def grid(n: int, rows_each: int = 1, height: float = HEIGHT, width: float = WIDTH) -> tuple[Figure, list[list[Axes]]]:
    """A figure with ``n`` columns of ``rows_each`` panels, in blocks of at most three: panels of each column."""
    n = max(n, 1)
    columns = min(PER_ROW, n) if n != PER_ROW + 1 else 2
    blocks = -(-n // columns)
    size = (max(width * columns, 6.6), height * blocks * rows_each + SIDES)
    figure, axes = plt.subplots(blocks * rows_each, columns, figsize=size, squeeze=False, layout="constrained")
    found = []
    for i in range(blocks * columns):
        block, column = divmod(i, columns)
        panels = [axes[block * rows_each + row, column] for row in range(rows_each)]
        if i < n:
            found.append(panels)
        else:
            for each in panels:
                each.set_axis_off()
    return figure, found


def nothing(axes: Axes, why: str) -> None:
    """Say in a panel why there is nothing in it."""
    title = axes.get_title(loc="left")
    axes.clear()
    axes.set_title(title, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d8dee4")
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=QUIET, fontsize=8.5, wrap=True)


def headed(axes: Axes, rows: pd.DataFrame) -> None:
    """The metric's name over the panel and its statistic at the vertical axis."""
    axes.set_title(rows["metric"].iloc[0].replace("_", " "), loc="left")
    axes.set_ylabel(rows["statistic"].iloc[0].replace("_", " "))


def span(axes: Axes, values: Sequence[Any], across: bool = False, share: float = 0.07) -> None:
    """Set the limits of an axis so that all finite ``values`` are inside, with a margin on either side."""
    flat = np.concatenate([np.asarray(each, dtype=float).ravel() for each in values]) if len(values) else np.array([])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return
    low, high = float(flat.min()), float(flat.max())
    room = share * (high - low) or 0.05 * abs(high) or 0.05
    (axes.set_xlim if across else axes.set_ylim)(low - room, high + room)


def references(axes: Axes, levels: Sequence[Level]) -> None:
    """Lines at ``levels`` (value, label, dashes), labeled right of the panel; limits must be set before.

    Levels that are nearly equal share a line and a label; labels are pushed apart where they would overlap.
    """
    low, high = axes.get_ylim()
    known = sorted((each for each in levels if np.isfinite(each[0])), key=lambda each: each[0])
    merged: list[tuple[float, str, Any]] = []
    for value, label, dashes in known:
        if merged and abs(value - merged[-1][0]) < 0.005 * (high - low):
            merged[-1] = (merged[-1][0], f"{merged[-1][1]},\n{label}", merged[-1][2])
        else:
            merged.append((value, label, dashes))
    places = apart([((value - low) / (high - low), 1 + label.count("\n")) for value, label, _ in merged])
    for at, (value, label, dashes) in zip(places, merged, strict=True):
        axes.axhline(value, color=FAINT, linewidth=1.0, linestyle=dashes, zorder=1)
        axes.text(1.015, at, label, transform=axes.transAxes, ha="left", va="center", fontsize=_SMALL, color=QUIET)


def scaled(axes: Axes, values: Sequence[float]) -> bool:
    """Make the horizontal axis logarithmic if the positive ``values`` span more than a decade; whether it is.

    Zeros then are on a short linear stretch at the left.
    """
    finite = np.asarray([each for each in values if np.isfinite(each)], dtype=float)
    positive = finite[finite > 0]
    if not len(positive) or positive.max() <= 10 * positive.min() or (finite < 0).any():
        span(axes, [finite], across=True)
        return False
    low, high = float(positive.min()), float(positive.max())
    room = (high / low) ** 0.06
    if len(positive) < len(finite):
        axes.set_xscale("symlog", linthresh=low, linscale=0.5)
        axes.set_xlim(-0.3 * low, high * room)
    else:
        axes.set_xscale("log")
        axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_formatter(PlainNumbers())
    axes.xaxis.set_minor_formatter(PlainNumbers(labelOnlyBase=False))
    if high > 100 * low:
        axes.xaxis.set_minor_locator(NullLocator())
    return True


class PlainNumbers(LogFormatter):
    """Numbers of a logarithmic axis as digits: powers would need formulas, which are not read in figures."""

    def _num_to_string(self, x: float, vmin: float, vmax: float) -> str:
        return f"{x:g}"


def legends(figure: Figure, title: str, above: Legend, below: Legend = ()) -> None:
    """A legend with a title above the panels, for methods, and one below, for what the shapes mean."""
    if not above:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    for entries, place, head in ((above, "outside upper left", title), (below, "outside lower left", None)):
        if not entries:
            continue
        labels = [label for _, label in entries]
        made = figure.legend(
            [handle for handle, _ in entries],
            labels,
            loc=place,
            ncols=columns(labels, figure.get_figwidth()),
            columnspacing=1.3,
            handletextpad=0.5,
            handlelength=2.4,
            fontsize=8,
            title=head,
            title_fontproperties={"weight": "bold", "size": 10.5},
            alignment="left",
            handler_map={tuple: HandlerTuple(ndivide=1)},
        )
        made.get_title().set_color(INK)


def columns(labels: Sequence[str], width: float) -> int:
    """The largest number of legend columns that fits a width in inches; a legend is filled column by column."""
    widths = [0.58 + 0.06 * len(label) for label in labels]

    def needed(n: int) -> float:
        return sum(max(part) for part in np.array_split(np.array(widths), n) if len(part))

    return next((n for n in range(len(labels), 1, -1) if needed(n) <= width - 0.2), 1)


def line_handles(lines: Sequence[str], appearance: dict[str, Look], joined: Callable[[str], bool]) -> Legend:
    """Handles of lines that were drawn: marker, and dashes for those that are ``joined``."""
    return [
        (
            Line2D(
                [],
                [],
                color=look.color,
                marker=look.marker,
                linestyle=look.dashes if joined(name) else "none",
                markeredgecolor=look.color,
            ),
            name.replace("_", " "),
        )
        for name, look in appearance.items()
        if name in set(lines)
    ]


def apart(labels: Sequence[tuple[float, int]]) -> list[float]:
    """Heights of labels, given in ascending order with their numbers of lines, moved so that none overlap.

    Shares of the panel's height; labels are moved up from below, and down again where they would leave the panel.
    """
    moved: list[float] = []
    half = [lines * _LABEL / 2 for _, lines in labels]
    for i, (height, _) in enumerate(labels):
        moved.append(max(height, moved[-1] + half[i - 1] + half[i]) if moved else height)
    ceiling = 1.0
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], ceiling - half[i])
        ceiling = moved[i] - half[i]
    return moved
