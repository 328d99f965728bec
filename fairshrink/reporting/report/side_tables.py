"""The report's other tables: agreement, flips, degeneracy and validity, each with what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairshrink.reporting.digits import percent
from fairshrink.reporting.wording import MISSING, compression, number, words

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "agreement": {
        "model": "model", "task": "task", "first": "between", "second": "and", "n_checkpoints": "checkpoints",
        "spearman": "rank correlation", "interval": "interval", "residual_spearman": "… of residuals",
        "reliability_first": "reliability, first", "reliability_second": "reliability, second",
        "statement": "what it says",
    },
    "flips": {
        "compression": "compression", "model": "model", "task": "task", "metric": "metric", "n_items": "items",
        "flipped": "changed side", "expected": "lost signal predicts", "uniform": "by guessing",
        "numeric": "by rounding",
        "toward": "toward the stereotype", "away": "away from it", "mcnemar_p": "p of a direction",
    },
    "degeneracy": {
        "model": "model", "task": "task", "metric": "metric", "n_checkpoints": "checkpoints",
        "correlation": "correlation with task score", "alarm": "alarm", "statement": "what it says",
    },
    "validity": {
        "model": "model", "task": "task", "metric": "metric", "test": "test", "value": "value", "interval": "interval",
        "threshold": "threshold", "passed": "passed", "statement": "what it says",
    },
}  # fmt: skip
"""Columns of each table that are shown, in order, with their headings."""
_SHARES = ("flipped", "expected", "uniform", "numeric", "toward", "away")
_NAMES = ("first", "second", "metric", "test")
_BOUNDS = (("ci_low", "ci_high"), ("low", "high"))


def side_table(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Headings and rows of one of the tables; a column that the frame lacks is left out."""
    frame = _completed(frame)
    columns = [each for each in COLUMNS[name] if each in frame]
    return {
        "headings": [COLUMNS[name][each] for each in columns],
        "rows": [[_entry(each, row[each]) for each in columns] for _, row in frame.iterrows()],
    }


def _completed(frame: pd.DataFrame) -> pd.DataFrame:
    """With the compression's name in one column and an interval in one."""
    if {"method", "setting"} <= set(frame):
        names = [
            compression(m, s if isinstance(s, str) else "")
            for m, s in zip(frame["method"], frame["setting"], strict=True)
        ]
        frame = frame.assign(compression=names)
    for low, high in _BOUNDS:
        if {low, high} <= set(frame):
            frame = frame.assign(interval=[_interval(each) for each in zip(frame[low], frame[high], strict=True)])
    return frame


def _interval(bounds: Sequence[Any]) -> str:
    return MISSING if any(pd.isna(each) for each in bounds) else f"[{number(bounds[0])}, {number(bounds[1])}]"


def _entry(column: str, value: Any) -> dict[str, str]:
    if value is None or value is pd.NA or value != value:
        return {"text": MISSING, "sort": "", "style": "n"}
    if isinstance(value, str):
        style = {"interval": "n", "statement": "statement"}.get(column, "")
        return {"text": words(value) if column in _NAMES else value, "sort": value, "style": style}
    if isinstance(value, bool) or str(value) in ("True", "False"):
        return {"text": "yes" if value else "no", "sort": str(int(value)), "style": ""}
    text = f"{value:,}" if _is_whole(value) else number(float(value))
    if column in _SHARES:
        text = percent(float(value), 1)
    return {"text": text, "sort": f"{float(value):.8g}", "style": "n"}


def _is_whole(value: Any) -> bool:
    return pd.api.types.is_integer(value)
