"""Tables of the checks on metrics: agreement, flipped items, functions of task performance, validity."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from fairshrink.reporting import digits, selection
from fairshrink.reporting.markup import Document, Grid

Values = Callable[[pd.Series], tuple[str, ...]]
"""From a row of a frame to the cells of a line."""


def complete(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """``table`` with all of ``columns`` first, in this order, missing ones empty; an empty table has them too."""
    whole = table.reindex(columns=[*columns, *(each for each in table.columns if each not in columns)])
    return whole.assign(setting=whole["setting"].fillna("")) if "setting" in columns else whole


def agreement(table: pd.DataFrame, level: float) -> Document:
    """Rank correlations of metrics over checkpoints, with how reliable each of the two is."""
    columns = ("between", "and", "statement", "checkpoints", "Spearman", "of residuals", "reliability", "of the second")
    grids = _grids(
        table,
        columns,
        5,
        lambda row: (
            _words(row["first"]),
            _words(row["second"]),
            _text(row["statement"]),
            _count(row["n_checkpoints"]),
            digits.with_interval(row["spearman"], row["ci_low"], row["ci_high"]),
            _two(row["residual_spearman"]),
            _two(row["reliability_first"]),
            _two(row["reliability_second"]),
        ),
    )
    note = (
        f"Spearman's correlation over checkpoints, controls left out, [{level:.0%} interval]; of residuals: the same "
        "after what lost signal explains is subtracted. Reliability: share of the variance between checkpoints that is "
        "not item error; where it is near 0 no correlation can be seen, whatever the truth."
    )
    return Document("agreement", "Agreement of metrics", grids, note)


def flips(table: pd.DataFrame) -> Document:
    """Shares of items that changed side, beside what is expected of lost signal, of a guesser and of rounding."""
    shares = ("flipped", "expected", "uniform", "numeric", "toward", "away")
    columns = ("method", "setting", "metric", "items", *shares, "McNemar p")
    grids = _grids(
        table,
        columns,
        8,
        lambda row: (
            selection.method_name(row["method"]),
            row["setting"],
            _words(row["metric"]),
            _count(row["n_items"]),
            *(_percent(row[each]) for each in shares),
            _p(row["mcnemar_p"]),
        ),
    )
    note = (
        "Flipped: share of items whose side differs from the baseline's; expected: what the loss of signal predicts; "
        "uniform: a guesser; numeric: the same weights computed in another way. Toward, away: moved to the stereotype "
        "or from it; McNemar's test asks whether these two differ."
    )
    return Document("flips", "Items that changed side", grids, note)


def degeneracy(table: pd.DataFrame) -> Document:
    """Metrics that are functions of the task performance."""
    columns = ("metric", "alarm", "statement", "checkpoints", "correlation")
    grids = _grids(
        table,
        columns,
        2,
        lambda row: (
            _words(row["metric"]),
            _yes(row["alarm"]),
            _text(row["statement"]),
            _count(row["n_checkpoints"]),
            digits.number(row["correlation"], 3),
        ),
    )
    note = "Alarm: over the checkpoints the metric is a function of the task performance and says nothing of its own."
    return Document("degeneracy", "Degenerate metrics", grids, note)


def validity(table: pd.DataFrame, level: float) -> Document:
    """Which tests each metric passed, on each model."""
    columns = ("metric", "test", "passed", "statement", "value", "threshold")
    grids = _grids(
        table,
        columns,
        2,
        lambda row: (
            _words(row["metric"]),
            _words(row["test"]),
            _yes(row["passed"]),
            _text(row["statement"]),
            digits.with_interval(row["value"], row["low"], row["high"]),
            digits.plain(row["threshold"]),
        ),
    )
    note = (
        f"Values with [{level:.0%} interval]. A metric that failed on a model supports no verdict there; one that is "
        "not listed was not tested."
    )
    return Document("validity", "Validity of metrics", grids, note)


def _grids(table: pd.DataFrame, columns: tuple[str, ...], words: int, values: Values) -> tuple[Grid, ...]:
    """One grid for each model and task; the first ``words`` columns are text."""
    return tuple(
        Grid(f"{model}, {task}", columns, tuple(values(row) for _, row in rows.iterrows()), words)
        for (model, task), rows in selection.each_pair(table)
    )


def is_true(value: object) -> bool | None:
    """A truth value from a frame or from a CSV file; None for a missing one."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def _yes(value: object) -> str:
    truth = is_true(value)
    return digits.MISSING if truth is None else "yes" if truth else "no"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _words(value: str) -> str:
    return value.replace("_", " ")


def _count(value: float) -> str:
    return digits.MISSING if pd.isna(value) else str(int(value))


def _two(value: float) -> str:
    return digits.number(value, 2)


def _percent(value: float) -> str:
    return digits.percent(value, 1)


def _p(value: float) -> str:
    return digits.MISSING if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
