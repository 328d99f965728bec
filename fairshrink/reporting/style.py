"""The style of the figures: a method has the same color and marker throughout a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fairshrink.reporting.outputs import FORMATS

# Okabe and Ito (2008): distinguishable with every common kind of color vision; without yellow, too faint for lines.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5D4E9E", "#8C510A")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
INK, FAINT = "#24292f", "#8c959f"

_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eaeef2",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "svg.hashsalt": "fairshrink",
    "figure.dpi": 100,
    "savefig.dpi": 160,
}


@contextmanager
def styled() -> Iterator[None]:
    """A context in which figures are drawn in this style, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def looks(lines: Sequence[str], controls: Sequence[str]) -> dict[str, dict[str, str]]:
    """Color and marker of each line, by its position in the study's list of lines; controls are gray."""
    colored = {
        line: {"color": _COLORS[i % len(_COLORS)], "marker": _MARKS[i % len(_MARKS)]} for i, line in enumerate(lines)
    }
    gray = {line: {"color": "#7A7A7A", "marker": _MARKS[-1 - i % len(_MARKS)]} for i, line in enumerate(controls)}
    return colored | gray


def grid(n: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``n`` panels in rows of at most three."""
    columns = max(1, min(3, n) if n != 4 else 2)
    rows = max(1, -(-n // columns))
    size = (max(4.2 * columns, 6.4), 3.3 * rows + 0.9)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    panels = list(axes.flat)
    for spare in panels[max(n, 1) :]:
        spare.set_axis_off()
    return figure, panels[: max(n, 1)]


def save(figure: Figure, stem: Path) -> None:
    """Write every format, without dates or versions, and close the figure."""
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    for ending in FORMATS:
        figure.savefig(stem.with_name(f"{stem.name}.{ending}"), metadata=metadata[ending], facecolor="white")
    plt.close(figure)
