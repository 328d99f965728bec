"""A metric by its groups, such as SEAT by type of bias and StereoSet by domain, from the results table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fairshrink.contracts import BASELINE
from fairshrink.reporting import digits, selection
from fairshrink.reporting.markup import Document, Grid
from fairshrink.reporting.selection import CELL

WHOLE = "all"
NUMBERS = ["value", "low", "high", "change", "change_low", "change_high", "p_value"]
_INTERVAL = {"ci_low": "low", "ci_high": "high"}


def by_group(results: pd.DataFrame, entry: str, statistic: str) -> pd.DataFrame:
    """One row per cell and group of the metric ``entry``: its headline ``statistic``, averaged over splits.

    Bounds are averaged as values are: splits share their test items, so this interval is not narrower than the one
    of the mean. An interval that does not contain its own value is left out. ``p_value`` is there for one split only.
    """
    rows = results[(results["metric"] == entry) & (results["statistic"] == statistic)]
    rows = rows.rename(columns=_INTERVAL).assign(
        setting=rows["setting"].fillna(""), change=rows["value"] - rows["baseline_value"]
    )
    rows = rows[[*CELL, "dataset", "group", "split", "n_items", *NUMBERS]]
    keys = [*CELL, "dataset", "group"]
    grouped = rows.groupby(keys, sort=False, dropna=False)
    table = grouped[NUMBERS].mean().join(grouped.agg(n_splits=("split", "nunique"), n_items=("n_items", "max")))
    complete = grouped[NUMBERS].count().eq(grouped.size(), axis=0)
    table[NUMBERS] = table[NUMBERS].where(complete)
    table["p_value"] = table["p_value"].where(table["n_splits"] == 1)
    for value, low, high in (("value", "low", "high"), ("change", "change_low", "change_high")):
        sound = digits.within(table[low], table[value], table[high])
        table[[low, high]] = table[[low, high]].where(sound)
    return table.reset_index().assign(metric=entry, statistic=statistic)[
        [*CELL, "metric", "dataset", "statistic", "group", "n_splits", "n_items", *NUMBERS]
    ]


def document(
    table: pd.DataFrame, name: str, entry: str, what: str, level: float, note: str = "", direction: str = ""
) -> Document:
    """Values by group, one grid per model and task, in the order of ``table``; ``what``: what the groups are.

    ``direction``: which way is more biased, in words.
    """
    grids = []
    for (model, task), rows in table.groupby(["model", "task"], sort=True):
        groups = sorted(set(rows["group"]), key=lambda each: (each != WHOLE, each))
        several = rows["dataset"].nunique() > 1
        lines = []
        for place, line in rows.groupby(["method", "setting", "dataset"], sort=False):
            method, setting, dataset = place
            texts = {row["group"]: _text(row) for _, row in line.iterrows()}
            labels = (selection.method_name(method), setting, *([dataset] if several else []))
            lines.append((*labels, *(texts.get(each, digits.MISSING) for each in groups)))
        columns = ("method", "setting", *(["data set"] if several else []), *groups)
        first_compressed = sum(rows.drop_duplicates(CELL)["method"] == BASELINE)
        rules = frozenset({first_compressed} if 0 < first_compressed < len(lines) else ())
        grids.append(Grid(f"{model}, {task}", columns, tuple(lines), len(groups), rules))
    statistic = table["statistic"].iloc[0].replace("_", " ") if len(table) else "nothing was scored"
    about = (
        f"{statistic.capitalize()}{f' ({direction})' if direction else ''}, mean over splits with "
        f"[{level:.0%} interval over test items]. "
        "Groups are smaller than the whole; no verdict is made on them."
    )
    title = f"{entry.replace('_', ' ')} by {what}"
    return Document(name, title, tuple(grids), " ".join(each for each in (about, note) if each))


def headline(about: Mapping[str, Any], entry: str) -> str:
    """The statistic of a metric's headline."""
    return str(about["metrics"][entry]["statistic"])


def _text(row: pd.Series) -> str:
    return digits.with_interval(row["value"], row["low"], row["high"])
