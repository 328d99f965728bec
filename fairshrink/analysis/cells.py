"""Cells: what a study reports for one compression of one model on one task, averaged over splits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.contracts import BASELINE, CONTROLS

CELL = ["model", "task", "method", "setting"]


def headlines(results: pd.DataFrame, about: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of the results table that hold a metric's headline, with its ``kind`` and the method's ``control``.

    ``metric`` is completed by the data set where a metric is used on several in one task. ValueError where a metric
    does not give the headline that it promises.
    """
    parts = []
    for name, metric in sorted(about["metrics"].items()):
        rows = results[results["metric"] == name]
        chosen = rows[(rows["statistic"] == metric["statistic"]) & (rows["group"] == metric["group"])]
        if len(rows) and chosen.empty:
            there = sorted(set(zip(rows["statistic"], rows["group"], strict=True)))
            promised = (metric["statistic"], metric["group"])
            raise ValueError(f"metric {name}: its headline {promised} is not among what it gives, {there}")
        several = chosen.groupby(["model", "task"])["dataset"].transform("nunique") > 1
        label = chosen["metric"].where(~several, chosen["metric"] + " (" + chosen["dataset"] + ")")
        parts.append(chosen.assign(metric=label, kind=metric["kind"]))
    rows = pd.concat(parts, ignore_index=True) if parts else results.iloc[:0].assign(kind="")
    return rows.assign(control=rows["method"].map(about["methods"]).eq(CONTROLS))


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per model, task, method, setting and metric, averaged over splits, in reading order.

    ``low`` and ``high`` bound the bootstrap interval where there is one split, else one standard deviation over
    splits on either side of the mean; ``sd`` is missing where there is one split. ``p`` is `merged_p` of the splits.
    ``line`` names what is drawn as one line: the cells that differ in their sparsity only.
    """
    columns = ["line", "sparsity", "effective_bits", "statistic", "kind", "control", "value", "low", "high"]
    columns += ["sd", "n_splits", "n_items", "unbiased", "random", "baseline", "change", "p"]
    made = [
        dict(zip([*CELL, "metric"], place, strict=True)) | _cell(group)
        for place, group in rows.groupby([*CELL, "metric"], sort=True)
    ]
    table = pd.DataFrame(made, columns=[*CELL, "metric", *columns])
    return table.loc[_reading_order(table)].reset_index(drop=True)


def merged_p(p_values: np.ndarray, changes: np.ndarray) -> float:
    """One two-sided p-value for splits that share their test items and are therefore not independent.

    Each split's p-value is split into one for either direction; their average, doubled, is valid whatever the
    dependence (Vovk and Wang 2020, Biometrika 107); the better direction counts, doubled again. So a change that
    is not there on most splits, or that changes its sign, is not a change.
    """
    if np.isnan(p_values).any() or not len(p_values):
        return float("nan")
    if len(p_values) == 1:
        return float(p_values[0])
    up = np.where(changes > 0, p_values / 2, 1 - p_values / 2)
    return float(min(1.0, 4 * min(up.mean(), (1 - up).mean())))


def line(method: str, setting: str) -> str:
    """The method with its settings but for the sparsity."""
    rest = [part for part in re.split(r"[,;]\s*", setting) if part and not part.strip().startswith("sparsity=")]
    return " ".join([method, *rest])


def rank_of_kind(kinds: pd.Series) -> pd.Series:
    """Position of a metric's kind in reading order: skill, damage, then bias."""
    return kinds.map({"task": 0, "damage": 1}).fillna(2)


def reading_order(methods: pd.Series, control: pd.Series) -> list[str]:
    """Methods as a reader expects them: the baseline, the compressions by name, controls last."""
    pairs = sorted(set(zip(control, methods != BASELINE, methods, strict=True)))
    return [method for _, _, method in pairs]


def _cell(group: pd.DataFrame) -> dict[str, Any]:
    one = group.iloc[0]
    values = group["value"].to_numpy(dtype=float)
    changes = values - group["baseline_value"].to_numpy(dtype=float)
    value, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return {
        "line": line(one["method"], one["setting"]),
        "sparsity": one["sparsity"],
        "effective_bits": _mean(group["effective_bits"]),
        "statistic": one["statistic"],
        "kind": one["kind"],
        "control": bool(one["control"]),
        "value": value,
        "low": one["ci_low"] if len(values) == 1 else value - sd,
        "high": one["ci_high"] if len(values) == 1 else value + sd,
        "sd": sd,
        "n_splits": len(values),
        "n_items": int(group["n_items"].max()),
        "unbiased": one["unbiased_value"],
        "random": _mean(group["random_value"]),
        "baseline": _mean(group["baseline_value"]),
        "change": float(changes.mean()),
        "p": merged_p(group["p_value"].to_numpy(dtype=float), changes),
    }


def _mean(column: pd.Series) -> float:
    return float(column.mean()) if column.notna().any() else float("nan")


def _reading_order(table: pd.DataFrame) -> pd.Index:
    rank = {method: i for i, method in enumerate(reading_order(table["method"], table["control"]))}
    keys = table.assign(rank=table["method"].map(rank), of_kind=rank_of_kind(table["kind"]))
    by = ["model", "task", "rank", "sparsity", "setting", "of_kind", "metric"]
    return keys.sort_values(by, kind="stable").index
