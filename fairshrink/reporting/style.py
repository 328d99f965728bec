"""The style of the figures: a method has the same color and marker throughout a study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from fairshrink.contracts import BASELINE
from fairshrink.reporting.escaping import in_figure
from fairshrink.reporting.outputs import FORMATS

# Okabe and Ito (2008), distinguishable with every common kind of color vision, without yellow, too faint for lines;
# then four more, told apart by their markers and dashes where colors are near.
COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5D4E9E", "#8C510A"),
    *("#7A8B00", "#A50F3C"),
)
_MARKS = ("o", "s", "^", "D", "v", "p", "<", ">", "h", "d", "8")
"""Shapes whose filling can be seen."""
Dashes = tuple[float, tuple[float, ...]] | str
_DASHES: tuple[Dashes, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1, 1, 1)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    (0, (2, 1)),
)
INK, FAINT, QUIET, GRAY = "#24292f", "#8c959f", "#57606a", "#8a8a8a"

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
    "text.parse_math": False,  # a name may have a $ in it
    "svg.hashsalt": "fairshrink",
    "figure.dpi": 160,
    "savefig.dpi": "figure",
}


@contextmanager
def styled() -> Iterator[None]:
    """A context in which figures are drawn in this style, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True)
class Look:
    """How a line of a study is drawn, in every figure alike."""

    color: str
    marker: str
    dashes: Dashes


def looks(cells: pd.DataFrame) -> dict[str, Look]:
    """The look of each line, by its position among the lines of the whole study; ``cells`` are in reading order.

    A method has one color; its lines differ in marker and dashes, as do those of different methods. Controls are gray.
    """
    rows = cells[cells["method"] != BASELINE].drop_duplicates("line")
    made = rows[~rows["control"]]
    color = {method: COLORS[i % len(COLORS)] for i, method in enumerate(dict.fromkeys(made["method"]))}
    return {
        row["line"]: Look(color[row["method"]], _MARKS[i % len(_MARKS)], _DASHES[i % len(_DASHES)])
        for i, (_, row) in enumerate(made.iterrows())
    }


def save(figure: Figure, stem: Path) -> None:
    """Write every format, without dates or versions, and close the figure."""
    for each in figure.findobj(Text):
        each.set_text(in_figure(each.get_text()))
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    for _ in range(2):  # the second time from where the first has put the labels outside of the panels
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is final: computing it again for each format takes most of the time
    for ending in FORMATS:
        figure.savefig(stem.with_name(f"{stem.name}.{ending}"), metadata=metadata[ending], facecolor="white")
    plt.close(figure)
