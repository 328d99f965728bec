"""Tables of the checks on metrics: do they agree, are they flipped items or functions of skill, are they valid."""

from __future__ import annotations

import pandas as pd

from fairshrink.reporting import digits, selection
from fairshrink.reporting.markup import Document, Grid

AGREEMENT = [
    *("model", "task", "first", "second", "n_checkpoints", "spearman", "ci_low", "ci_high"),
    *("residual_spearman", "reliability_first", "reliability_second", "statement"),
]
FLIPS = [
    *("model", "task", "method", "setting", "metric", "n_items", "flipped", "expected", "uniform", "numeric"),
    *("toward", "away", "mcnemar_p"),
]
DEGENERACY = ["model", "task", "metric", "n_checkpoints", "correlation", "alarm", "statement"]
VALIDITY = ["model", "task", "metric", "test", "value", "low", "high", "threshold", "passed", "statement"]


def complete(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """``table`` with all of ``columns`` first, in this order, missing ones empty; an empty table has them too."""
    whole = table.reindex(columns=[*columns, *(each for each in table.columns if each not in columns)])
    return whole.assign(setting=whole["setting"].fillna("")) if "setting" in columns else whole


def agreement(table: pd.DataFrame, level: float) -> Document:
    """Rank correlations of metrics over checkpoints, with how reliable each of the two is."""
    columns = ("between", "and", "statement", "checkpoints", "Spearman", "of residuals", "reliability", "of the second")
    grids = [
        Grid(
            f"{model}, {task}",
            columns,
            tuple(
                (
                    _words(row["first"]),
                    _words(row["second"]),
                    _text(row["statement"]),
                    _count(row["n_checkpoints"]),
                    digits.with_interval(row["spearman"], row["ci_low"], row["ci_high"]),
                    _two(row["residual_spearman"]),
                    _two(row["reliability_first"]),
                    _two(row["reliability_second"]),
                )
                for _, row in rows.iterrows()
            ),
            5,
        )
        for (model, task), rows in selection.each_pair(table)
    ]
    note = (
        f"Spearman's correlation over checkpoints, controls left out, [{level:.0%} interval]; of residuals: the same "
        "after what lost signal explains is subtracted. Reliability: share of the variance between checkpoints that is "
        "not item error; where it is near 0 no correlation can be seen, whatever the truth."
    )
    return Document("agreement", "Agreement of metrics", tuple(grids), note)


def flips(table: pd.DataFrame) -> Document:
    """Shares of items that changed side, beside what is expected of lost signal, of a guesser and of rounding."""
    shares = ("flipped", "expected", "uniform", "numeric", "toward", "away")
    columns = ("method", "setting", "metric", "items", *shares, "McNemar p")
    grids = [
        Grid(
            f"{model}, {task}",
            columns,
            tuple(
                (
                    selection.method_name(row["method"]),
                    row["setting"],
                    _words(row["metric"]),
                    _count(row["n_items"]),
                    *(_percent(row[each]) for each in shares),
                    _p(row["mcnemar_p"]),
                )
                for _, row in rows.iterrows()
            ),
            8,
        )
        for (model, task), rows in selection.each_pair(table)
    ]
    note = (
        "Flipped: share of items whose side differs from the baseline's; expected: what the loss of signal predicts; "
        "uniform: a guesser; numeric: the same weights computed in another way. Toward, away: moved to the stereotype "
        "or from it; McNemar's test asks whether these two differ."
    )
    return Document("flips", "Items that changed side", tuple(grids), note)


def degeneracy(table: pd.DataFrame) -> Document:
    """Metrics that are functions of the task performance."""
    columns = ("metric", "alarm", "statement", "checkpoints", "correlation")
    grids = [
        Grid(
            f"{model}, {task}",
            columns,
            tuple(
                (
                    _words(row["metric"]),
                    _yes(row["alarm"]),
                    _text(row["statement"]),
                    _count(row["n_checkpoints"]),
                    digits.number(row["correlation"], 3),
                )
                for _, row in rows.iterrows()
            ),
            2,
        )
        for (model, task), rows in selection.each_pair(table)
    ]
    note = "Alarm: over the checkpoints the metric is a function of the task performance and says nothing of its own."
    return Document("degeneracy", "Degenerate metrics", tuple(grids), note)


def validity(table: pd.DataFrame, level: float) -> Document:
    """Which tests each metric passed, on each model."""
    columns = ("metric", "test", "passed", "statement", "value", "threshold")
    grids = [
        Grid(
            f"{model}, {task}",
            columns,
            tuple(
                (
                    _words(row["metric"]),
                    _words(row["test"]),
                    _yes(row["passed"]),
                    _text(row["statement"]),
                    digits.with_interval(row["value"], row["low"], row["high"]),
                    digits.plain(row["threshold"]),
                )
                for _, row in rows.iterrows()
            ),
            2,
        )
        for (model, task), rows in selection.each_pair(table)
    ]
    note = (
        f"Values with [{level:.0%} interval]. A metric that failed on a model supports no verdict there; one that is "
        "not listed was not tested."
    )
    return Document("validity", "Validity of metrics", tuple(grids), note)


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
    return digits.MISSING if pd.isna(value) else f"{100 * value:.1f}%"


def _p(value: float) -> str:
    return digits.MISSING if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
