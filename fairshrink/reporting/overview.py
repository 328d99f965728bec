"""The overview of a task: one line per compression, one column per metric's headline, and reference values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting import digits, marks, selection
from fairshrink.reporting.digits import MISSING
from fairshrink.reporting.markup import Cell, Document, Grid, Marked
from fairshrink.reporting.selection import CELL


@dataclass(frozen=True)
class Entry:
    """A value with its interval as text, and the verdict on its change ("" if there is none)."""

    text: str
    verdict: str = ""

    @property
    def mark(self) -> str:
        """The symbol for the verdict in a table."""
        return marks.MARKS.get(self.verdict, "")


@dataclass(frozen=True)
class Line:
    """A row; ``role`` is "baseline", "compressed", "control" or "reference"."""

    role: str
    labels: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Overview:
    """A task's table, to be rendered as Markdown, LaTeX or HTML; ``columns`` are the headings of the lines' labels."""

    task: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str


def overview(cells: pd.DataFrame, task: str, level: float) -> Overview:
    """The overview of ``task`` from cells in reading order (`selection.texts`); ``level``: of the intervals."""
    mine = cells[cells["task"] == task]
    metrics = selection.metrics(mine)
    several_models = mine["model"].nunique() > 1
    lines = []
    for model, of_model in mine.groupby("model", sort=False):
        first = (str(model),) if several_models else ()
        shown = of_model[~(of_model["control"] & selection.is_seed(of_model["setting"]))]
        for _, group in shown.groupby(CELL, sort=False):
            lines.append(_line(first, group, metrics))
        for label, column in (("unbiased model", "unbiased"), ("random model", "random")):
            values = of_model.groupby("metric")[column].mean()
            entries = tuple(Entry(digits.plain(values.get(name, np.nan))) for name in metrics)
            lines.append(Line("reference", (*first, label, "", "", ""), entries))
    heads = tuple(marks.head(name, mine[mine["metric"] == name]) for name in metrics)
    columns = (*(("model",) if several_models else ()), "method", "setting", "bits per weight", "splits")
    return Overview(task, columns, heads, tuple(lines), _note(mine, heads, level))


def document(made: Overview, name: str, title: str, note: str = "") -> Document:
    """An overview as a readable table; ``note`` is added to its own."""
    rows: list[tuple[Cell, ...]] = [
        (*line.labels, *(Marked(each.text, each.mark) for each in line.entries)) for line in made.lines
    ]
    rules = frozenset(i for i in range(1, len(rows)) if made.lines[i].role != made.lines[i - 1].role)
    grid = Grid("", (*made.columns, *made.metrics), tuple(rows), len(made.metrics), rules)
    return Document(name, title, (grid,), " ".join(each for each in (made.note, note) if each))


def numbers(cells: pd.DataFrame, task: str) -> pd.DataFrame:
    """The same as numbers, one row per cell, controls included: for each metric its value and all about it."""
    mine = cells[cells["task"] == task]
    table = mine.drop_duplicates(CELL)[[*CELL, "control", "sparsity", "effective_bits", "n_splits"]]
    for name in selection.metrics(mine):
        part = mine[mine["metric"] == name]
        columns = ["value", "low", "high"]
        if part["training_low"].notna().any():
            columns += ["training_low", "training_high"]
        if part["kind"].isin(BIAS_KINDS).any():
            columns += ["change", "change_low", "change_high", "verdict"]
        names = {each: name if each == "value" else f"{name}_{each}" for each in columns}
        table = table.merge(part[[*CELL, *columns]].rename(columns=names), on=CELL, how="left")
    return table.reset_index(drop=True)


def value_text(row: pd.Series) -> str:
    """A cell's value with the interval over items, and behind it the one over trainings where there is one."""
    text = digits.with_interval(row["value"], row["low"], row["high"])
    if text == MISSING or pd.isna(row["training_low"]) or pd.isna(row["training_high"]):
        return text
    with_items = not (pd.isna(row["low"]) or pd.isna(row["high"]))
    bounds = (row["low"], row["high"]) if with_items else (row["training_low"], row["training_high"])
    places = digits.decimals(row["value"], *bounds)
    low, high = (digits.number(row[each], places) for each in ("training_low", "training_high"))
    return f"{text} ⟨{low}, {high}⟩"


def _line(first: tuple[str, ...], group: pd.DataFrame, metrics: list[str]) -> Line:
    one = group.iloc[0]
    role = "baseline" if one["method"] == BASELINE else "control" if one["control"] else "compressed"
    by_metric = {row["metric"]: row for _, row in group.iterrows()}
    entries = tuple(
        Entry(value_text(by_metric[name]), _verdict(by_metric[name])) if name in by_metric else Entry(MISSING)
        for name in metrics
    )
    bits = MISSING if pd.isna(one["effective_bits"]) else f"{one['effective_bits']:.1f}"
    splits = "" if pd.isna(one["n_splits"]) else str(int(one["n_splits"]))
    return Line(role, (*first, selection.method_name(one["method"]), one["setting"], bits, splits), entries)


def _verdict(row: pd.Series) -> str:
    return row["verdict"] if isinstance(row["verdict"], str) else ""


def _note(cells: pd.DataFrame, heads: tuple[str, ...], level: float) -> str:
    parts = [f"Values with [{level:.0%} interval over test items, about these checkpoints]"]
    if cells["training_low"].notna().any():
        parts.append(f" and ⟨{level:.0%} interval over trainings⟩")
    hidden = cells[cells["control"] & selection.is_seed(cells["setting"])]["method"].nunique()
    more = " Controls that are drawn several times are in the table of damage." if hidden else ""
    arrows = marks.arrows_explained(heads) + marks.directions_explained(cells)
    return f"{''.join(parts)}; {MISSING} undefined. {arrows}{marks.legend(cells['verdict'])}{more}"
