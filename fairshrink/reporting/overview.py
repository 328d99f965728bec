"""The overview of a task: one line per compression, one column per metric's headline, and reference values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis.cells import CELL, rank_of_kind
from fairshrink.analysis.verdicts import LOST, NOTHING, REAL, UNKNOWN
from fairshrink.contracts import BASELINE

MARKS = {REAL: "*", LOST: "†", UNKNOWN: "‡", NOTHING: ""}
MISSING = "–"


@dataclass(frozen=True)
class Entry:
    """A value with its uncertainty as text, and the verdict on its change ("" if there is none)."""

    text: str
    verdict: str = ""

    @property
    def mark(self) -> str:
        """The symbol for the verdict in a table."""
        return MARKS.get(self.verdict, "")


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


def overview(cells: pd.DataFrame, verdicts: pd.DataFrame, task: str, about: Mapping[str, Any]) -> Overview:
    """The overview of ``task`` from `cells.cells` and `verdicts.verdicts`."""
    mine = cells[cells["task"] == task]
    metrics = _columns(mine)
    verdict_of = verdicts.set_index([*CELL, "metric"])["verdict"].to_dict()
    decimals = {name: _decimals(group) for name, group in mine.groupby("metric")}
    several_models = mine["model"].nunique() > 1
    lines = []
    for model, of_model in mine.groupby("model", sort=False):
        first = (model,) if several_models else ()
        for cell, group in of_model.groupby(CELL, sort=False):
            one = group.iloc[0]
            role = "baseline" if one["method"] == BASELINE else "control" if one["control"] else "compressed"
            by_metric = {row["metric"]: row for _, row in group.iterrows()}
            entries = tuple(
                Entry(_value(by_metric[name], decimals[name]), verdict_of.get((*cell, name), ""))
                if name in by_metric
                else Entry(MISSING)
                for name in metrics
            )
            labels = (*first, _method(one["method"]), one["setting"], _number(one["effective_bits"], 1))
            lines.append(Line(role, (*labels, str(one["n_splits"])), entries))
        for label, column in (("unbiased model", "unbiased"), ("random model", "random")):
            values = of_model.groupby("metric")[column].mean()
            entries = tuple(Entry(_number(values.get(name, np.nan), decimals[name])) for name in metrics)
            lines.append(Line("reference", (*first, label, "", "", ""), entries))
    columns = (*(("model",) if several_models else ()), "method", "setting", "bits per weight", "splits")
    return Overview(task, columns, tuple(metrics), tuple(lines), _note(mine, about))


def numbers(cells: pd.DataFrame, verdicts: pd.DataFrame, task: str) -> pd.DataFrame:
    """The same table as numbers: for each metric its value, the bounds ``low`` and ``high``, and the verdict."""
    mine = cells[cells["task"] == task]
    labeled = mine.merge(verdicts[[*CELL, "metric", "verdict"]], on=[*CELL, "metric"], how="left")
    columns = [*CELL, "sparsity", "effective_bits", "n_splits"]
    table = mine.drop_duplicates(CELL)[columns].reset_index(drop=True)
    for name in _columns(mine):
        part = labeled.loc[labeled["metric"] == name, [*CELL, "value", "low", "high", "verdict"]]
        part["verdict"] = part["verdict"].fillna("")
        names = {"value": name, "low": f"{name}_low", "high": f"{name}_high", "verdict": f"{name}_verdict"}
        table = table.merge(part.rename(columns=names), on=CELL, how="left")
    return table


def _columns(cells: pd.DataFrame) -> list[str]:
    pairs = sorted(set(zip(rank_of_kind(cells["kind"]), cells["metric"], strict=True)))
    return [name for _, name in pairs]


def _decimals(group: pd.DataFrame) -> int:
    largest = group["value"].abs().max()
    return 1 if largest >= 20 else 2 if largest >= 2 else 3


def _number(value: float, decimals: int) -> str:
    if pd.isna(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def _value(row: pd.Series, decimals: int) -> str:
    value = _number(row["value"], decimals)
    if value != MISSING and row["n_splits"] > 1:
        return f"{value} ± {_number(row['sd'], decimals)}"
    if value == MISSING or pd.isna(row["low"]):
        return value
    return f"{value} [{_number(row['low'], decimals)}, {_number(row['high'], decimals)}]"


def _method(name: str) -> str:
    return "baseline" if name == BASELINE else name.replace("_", " ")


def _note(cells: pd.DataFrame, about: Mapping[str, Any]) -> str:
    spread = []
    if (cells["n_splits"] > 1).any():
        spread.append("± one standard deviation over splits")
    if (cells["n_splits"] == 1).any():
        spread.append(f"[{about['level']:.0%} bootstrap interval]")
    return (
        f"Values with {', '.join(spread)}. "
        f"{MARKS[REAL]} {REAL} against the baseline; {MARKS[LOST]} {LOST}: the task score lost more than half of "
        f"its distance to a random model's; {MARKS[UNKNOWN]} {UNKNOWN}; no mark: {NOTHING} "
        f"(adjusted p above 0.05); {MISSING} undefined."
    )
