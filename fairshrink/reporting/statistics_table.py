"""The statistics of one table of items, with their intervals, direction and null values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis.joint import join
from fairshrink.analysis.measured import numbers
from fairshrink.contracts import AnyMetric
from fairshrink.reporting import digits, marks
from fairshrink.reporting.plain import grid
from fairshrink.settings import Settings

COLUMNS = ("group", "statistic", "value", "ci_low", "ci_high", "n_items", "unbiased_value", "random_value", "higher_is")


def table(items: pd.DataFrame, module: AnyMetric, settings: Settings, level: float) -> pd.DataFrame:
    """One row for each group and statistic; intervals are those of a jackknife over clusters."""
    joint = join([items], module.CLUSTERS)
    rows: list[dict[str, Any]] = []
    for each in module.summarize(items, settings):
        found = numbers(joint, each, None, level, len(items))
        rows.append(
            {
                "group": each.group,
                "statistic": each.name,
                "value": found["value"],
                "ci_low": _known(found["ci_low"]),
                "ci_high": _known(found["ci_high"]),
                "n_items": each.n_items,
                "unbiased_value": _known(each.unbiased),
                "random_value": _known(each.random),
                "higher_is": each.higher_is,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def text(found: pd.DataFrame, level: float, *, of_bias: bool) -> str:
    """The rows in columns; an arrow shows which way a statistic is more biased, the last column says it of each."""
    heading = ("group", "statistic", "value", f"{level:.0%} interval", "items", "unbiased", "random model", "direction")
    rows = [heading, *(_row(row, of_bias) for _, row in found.iterrows())]
    note = marks.arrows_explained([row[1] for row in rows])
    return grid(rows, 2) + (f"\n\n{note.strip()}" if note else "")


def _row(row: pd.Series, of_bias: bool) -> tuple[str, ...]:
    count = row["higher_is"] == "count"
    named = row["statistic"]
    if (of_bias and row["higher_is"] == "more_biased") or (
        of_bias and row["higher_is"] == "" and pd.notna(row["unbiased_value"])
    ):
        named = f"{named} {marks.arrow(row['higher_is'], row['unbiased_value'])}"
    places = digits.decimals(row["value"], row["ci_low"], row["ci_high"])
    interval = (
        ""
        if count or pd.isna(row["ci_low"])
        else "{} to {}".format(digits.number(row["ci_low"], places), digits.number(row["ci_high"], places))
    )
    value = f"{row['value']:.0f}" if count else digits.number(row["value"], places)
    return (
        row["group"],
        named,
        value,
        interval or digits.MISSING,
        str(row["n_items"]),
        digits.plain(row["unbiased_value"]),
        digits.plain(row["random_value"]),
        marks.direction(row["higher_is"], row["unbiased_value"], of_bias=of_bias),
    )


def _known(value: float | None) -> float:
    return np.nan if value is None else value
