"""Items that changed side, beside what lost signal predicts, what a guesser gives, and the noise of computing."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fairshrink.reporting import selection
from fairshrink.reporting.figures import frame
from fairshrink.reporting.style import INK, QUIET, Look

_ALPHA = 0.05
_FAINT = "#d0d7de"


def flips(table: pd.DataFrame, cells: pd.DataFrame, appearance: dict[str, Look], title: str) -> Figure:
    """One panel per metric, one row per compression; ``table`` and ``cells`` are of one model and task.

    Bars are the share of items that flipped: dark toward the stereotype, light away from it.
    """
    made = selection.compressed(cells)
    line = dict(zip(zip(made["method"], made["setting"], strict=True), made["line"], strict=True))
    rows = table.assign(line=[line.get(each) for each in zip(table["method"], table["setting"], strict=True)])
    rows = rows[rows["line"].notna()]
    names = sorted(set(rows["metric"]))
    longest = max((len(rows[rows["metric"] == name]) for name in names), default=4)
    figure, panels = frame.grid(len(names), height=max(1.9, 0.24 * longest + 0.8), width=4.6)
    for (axes,), name in zip(panels, names, strict=False):
        axes.set_title(name.replace("_", " "), loc="left")
        _panel(axes, rows[rows["metric"] == name], appearance)
    if not names:
        frame.nothing(panels[0][0], "no metric of this model has items that can flip,\nor nothing was compressed")
    frame.legends(figure, title, [], _handles(rows) if names else [])
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, appearance: dict[str, Look]) -> None:
    order = {line: i for i, line in enumerate(appearance)}
    rows = rows.assign(_at=rows["line"].map(order)).sort_values(["_at", "setting"], kind="stable")
    columns = ["flipped", "expected", "uniform", "numeric", "toward", "away"]
    values = rows[columns].astype(float) * 100
    reach = float(values[["flipped", "expected", "uniform"]].max().max()) or 1.0
    for y, (index, row) in enumerate(rows.iterrows()):
        share, look = values.loc[index], appearance[row["line"]]
        if pd.isna(share["toward"]) or pd.isna(share["away"]):
            axes.barh(y, share["flipped"], height=0.62, color=_FAINT, edgecolor=look.color, linewidth=0.8, zorder=2)
        else:
            axes.barh(y, share["toward"], height=0.62, color=look.color, edgecolor=look.color, linewidth=0.8, zorder=2)
            axes.barh(
                y, share["away"], left=share["toward"], height=0.62, color="white", edgecolor=look.color, linewidth=0.8,
                zorder=2,
            )  # fmt: skip
        axes.plot([share["expected"]] * 2, [y - 0.42, y + 0.42], color=INK, linewidth=2.0, zorder=4)
        axes.plot([share["uniform"]] * 2, [y - 0.42, y + 0.42], color=QUIET, linewidth=1.2, linestyle=":", zorder=3)
        axes.plot([share["numeric"]], [y], marker="|", markersize=7, color="#b3261e", zorder=4)
        if pd.notna(row["mcnemar_p"]) and row["mcnemar_p"] <= _ALPHA:
            end = max(share[["flipped", "expected"]].max(), 0.0)
            axes.plot([end + 0.035 * reach], [y], marker=(6, 2, 0), markersize=5.5, color=INK, zorder=5)
    axes.set_yticks(range(len(rows)), [_name(row) for _, row in rows.iterrows()], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.08 * reach)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("items that changed side (%)")


def _name(row: pd.Series) -> str:
    return f"{selection.method_name(row['method'])} {row['setting'].replace('sparsity=', '')}".strip()


def _handles(rows: pd.DataFrame) -> frame.Legend:
    entries: list[tuple[frame.Handle, str]] = [
        (Patch(facecolor=QUIET, edgecolor=QUIET), "flipped toward the stereotype"),
        (Patch(facecolor="white", edgecolor=QUIET), "flipped away from it"),
        (_tick(INK, 2.0), "expected of lost signal"),
    ]
    if rows["uniform"].notna().any():
        entries.append((Line2D([], [], color=QUIET, linewidth=1.2, linestyle=":"), "a uniform guesser"))
    if rows["numeric"].notna().any():
        entries.append((_tick("#b3261e", 1.2), "noise of computing"))
    if (rows["mcnemar_p"] <= _ALPHA).any():
        star = Line2D([], [], marker=(6, 2, 0), markersize=5.5, color=INK, linestyle="none")
        entries.append((star, "one direction prevails (McNemar, p ≤ 0.05)"))
    return entries


def _tick(color: str, width: float) -> Line2D:
    return Line2D([], [], marker="|", markersize=9, markeredgewidth=width, color=color, linestyle="none")
