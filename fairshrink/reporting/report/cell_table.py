"""The table of cells and the overview of verdicts, as text for the page's template."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting import marks
from fairshrink.reporting.answer import judged
from fairshrink.reporting.report.verdict_looks import look
from fairshrink.reporting.wording import MISSING, compression, number, words


class Column(NamedTuple):
    """A column of the table: where its value is, its heading, what it means, and its interval's columns."""

    name: str
    heading: str
    meaning: str
    low: str = ""
    high: str = ""


COLUMNS = (
    Column(
        "value",
        "bias",
        "the metric's value on the compressed model, mean over splits, with its interval",
        "low",
        "high",
    ),
    Column(
        "unbiased",
        "unbiased",
        "what an unbiased model scores, after an arrow: ↑ higher is more biased, ↓ lower, ↕ farther to either side",
    ),
    Column("random", "random", "what a model that knows nothing scores"),
    Column("baseline", "before", "the metric's value on the uncompressed model"),
    Column("change", "change", "bias minus before", "change_low", "change_high"),
    Column("null", "null", "what bias would be if compression had only lost signal", "null_low", "null_high"),
    Column(
        "residual", "residual", "bias minus null: what lost signal does not explain", "residual_low", "residual_high"
    ),
    Column("margin", "margin", "the smallest change that matters, set before the study"),
    Column("residual_p_adjusted", "p, lost signal", "adjusted p-value of the residual"),
    Column("control_p_adjusted", "p, damage", "adjusted p-value against undirected damage of the same size"),
    Column("mde", "detectable", "the smallest residual that this cell would find in 80% of cases"),
    Column(
        "damage",
        "damage",
        "distance of the outputs from the uncompressed model's: higher is more damage",
        "damage_low",
        "damage_high",
    ),
    Column("kept", "signal kept", "slope of the model's answers on the uncompressed model's", "kept_low", "kept_high"),
    Column("task_score", "task score", "the model's performance on its task: higher is better"),
    Column("performance_kept", "task kept", "share of the uncompressed model's task performance that is left"),
    Column("effective_bits", "bits", "effective bits per weight"),
    Column("bytes", "MB", "size of the stored model in megabytes"),
    Column("n_items", "items", "items of the metric"),
    Column("n_splits", "splits", "trainings of the uncompressed model, with seeds of their own"),
)
_WHOLE = ("n_items", "n_splits")


def shown(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the table: every bias cell but controls' without a value; numbers as text with their sort value."""
    bias = cells[cells["kind"].isin(BIAS_KINDS)]
    return [_row(str(i), row) for i, (_, row) in zip(_positions(cells, bias), bias.iterrows(), strict=True)]


def overview(cells: pd.DataFrame) -> dict[str, Any]:
    """Verdicts at a glance: a line for each compression, a column for each metric of each model and task."""
    rows = judged(cells)
    columns = sorted(set(zip(rows["model"], rows["task"], rows["metric"], strict=True)))
    lines: dict[tuple[str, str], dict[tuple[str, str, str], dict[str, Any]]] = {}
    position = dict(zip(cells.index, range(len(cells)), strict=True))
    for index, row in rows.iterrows():
        entry = look(row["verdict"]) | {"index": position[index]}
        lines.setdefault((row["method"], row["setting"]), {})[row["model"], row["task"], row["metric"]] = entry
    groups: dict[tuple[str, str], int] = {}
    for model, task, _ in columns:
        groups[model, task] = groups.get((model, task), 0) + 1
    return {
        "groups": [{"model": model, "task": task, "n": n} for (model, task), n in groups.items()],
        "metrics": [words(metric) for _, _, metric in columns],
        "lines": [
            {"name": compression(*name), "entries": [found.get(each) for each in columns]}
            for name, found in lines.items()
        ],
    }


def choices(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What each filter of the table offers, in order of appearance."""
    return {
        name: list(dict.fromkeys(row[name] for row in rows if row[name]))
        for name in ("model", "task", "metric", "method")
    }


def _positions(cells: pd.DataFrame, some: pd.DataFrame) -> list[int]:
    position = dict(zip(cells.index, range(len(cells)), strict=True))
    return [position[index] for index in some.index]


def _row(index: str, row: pd.Series) -> dict[str, Any]:
    setting = row["setting"] if isinstance(row["setting"], str) else ""
    baseline = row["method"] == BASELINE
    return {
        "index": index,
        "control": bool(row["control"]),
        "baseline": baseline,
        "compression": "uncompressed" if baseline else compression(row["method"], setting),
        "method": "uncompressed" if baseline else words(row["method"]),
        "model": row["model"],
        "task": row["task"],
        "metric": words(row["metric"]),
        "verdict": look(row["verdict"]),
        "validity": row["validity"] if isinstance(row["validity"], str) else "",
        "numbers": [_number(column, row) for column in COLUMNS],
    }


def _number(column: Column, row: pd.Series) -> dict[str, Any]:
    value = row[column.name]
    if pd.isna(value):
        return {"text": MISSING, "sort": "", "interval": ""}
    value = float(value) / 1e6 if column.name == "bytes" else float(value)
    text = f"{value:,.0f}" if column.name in _WHOLE else number(value)
    interval = ""
    if column.low and pd.notna(row[column.low]) and pd.notna(row[column.high]):
        interval = f"[{number(row[column.low])}, {number(row[column.high])}]"
    if column.name == "unbiased":
        text = f"{marks.arrow(row['higher_is'], float('nan'))} {text}"
    return {"text": text, "sort": f"{value:.8g}", "interval": interval}
