"""Checks on metrics as the analysis makes them, drawn instead of computed, for the cells of `synthetic_cells`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.contracts import BIAS_KINDS

DOSES = (1, 2, 4, 8)
ABOUT = {
    "study": "synthetic",
    "level": 0.95,
    "resamples": 200,
    "metrics": {
        "task_score": {"module": "task_score", "kind": "task", "statistic": "score", "group": "all"},
        "fidelity": {"module": "fidelity", "kind": "damage", "statistic": "damage", "group": "all"},
        "stereoset": {"module": "stereoset", "kind": "intrinsic", "statistic": "stereotype_score", "group": "all"},
        "crows_pairs": {"module": "crows_pairs", "kind": "intrinsic", "statistic": "stereotype_share", "group": "all"},
        "seat": {"module": "seat", "kind": "intrinsic", "statistic": "mean_effect_size", "group": "all"},
        "sentiment_gap": {"module": "sentiment_gap", "kind": "extrinsic", "statistic": "mean_gap", "group": "gender"},
    },
    "methods": {},
}


def _compressed(cells: pd.DataFrame) -> pd.DataFrame:
    bias = cells[cells["kind"].isin(BIAS_KINDS)]
    return bias[(bias["method"] != "none") & ~bias["control"].astype(bool)]


def flips(cells: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """One row per compression and metric of items with two sides."""
    draw = np.random.default_rng(seed)
    rows = []
    for _, cell in _compressed(cells).iterrows():
        if cell["metric"] == "seat":
            continue
        expected = 0.02 + 0.4 * (1 - np.exp(-cell["damage"]))
        flipped = min(0.5, expected * draw.uniform(0.9, 1.4))
        toward = flipped * draw.uniform(0.3, 0.6)
        rows.append(
            {each: cell[each] for each in ("model", "task", "method", "setting", "metric", "n_items")}
            | {"flipped": flipped, "expected": expected, "uniform": 0.5, "numeric": 0.008}
            | {"toward": toward, "away": flipped - toward, "mcnemar_p": draw.choice([0.01, 0.4])}
        )
    return pd.DataFrame(rows)


def agreement(cells: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Every two metrics of a model and task."""
    draw = np.random.default_rng(seed)
    rows = []
    for (model, task), group in cells[cells["kind"] != "damage"].groupby(["model", "task"]):
        names = sorted(set(group["metric"]))
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                rho = draw.uniform(-0.6, 0.9)
                rows.append(
                    {"model": model, "task": task, "first": first, "second": second, "n_checkpoints": 24}
                    | {"spearman": rho, "ci_low": rho - 0.25, "ci_high": min(1.0, rho + 0.2)}
                    | {"residual_spearman": draw.uniform(-0.4, 0.6), "reliability_first": 0.8}
                    | {"reliability_second": 0.1, "statement": "cannot be said: one of the two is not reliable"}
                )
    return pd.DataFrame(rows)


def degeneracy(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per metric, with one alarm."""
    places = cells[cells["kind"].isin(BIAS_KINDS)].drop_duplicates(["model", "task", "metric"])
    return places[["model", "task", "metric"]].assign(
        n_checkpoints=24,
        correlation=[0.995, *[0.4] * (len(places) - 1)],
        alarm=[True, *[False] * (len(places) - 1)],
        statement="a sentence",
    )


def validity(cells: pd.DataFrame) -> pd.DataFrame:
    """Three tests per metric, with each outcome."""
    rows = []
    for _, place in cells[cells["kind"].isin(BIAS_KINDS)].drop_duplicates(["model", "task", "metric"]).iterrows():
        for test, value, limit, passed in (
            ("dose", 0.95, 0.9, True),
            ("non_social", 0.31, 0.2, False),
            ("performance", 0.4, 0.99, None),
        ):
            named = {each: place[each] for each in ("model", "task", "metric")}
            rows.append(
                named
                | {"test": test, "value": value, "low": value - 0.04, "high": value + 0.04}
                | {"threshold": limit, "passed": passed, "statement": f"a sentence about {test}"}
            )
    return pd.DataFrame(rows)


def with_doses(cells: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The cells with four doses of a stereotype, as controls, for every model and task."""
    draw = np.random.default_rng(seed)
    start = cells[cells["method"] == "none"]
    parts = [cells]
    for dose in DOSES:
        size = start["unbiased"].fillna(0.0).abs() * 0.01 + 0.02
        change = size * dose * draw.uniform(0.8, 1.2, len(start))
        half = size * 0.8
        parts.append(
            start.assign(
                method="dose",
                method_family="controls",
                setting=f"gender={dose}",
                line=f"dose gender={dose}",
                sparsity=None,
                control=True,
                damage=0.1,
                value=start["baseline"].fillna(start["value"]) + change,
                low=start["baseline"].fillna(start["value"]) + change - half,
                high=start["baseline"].fillna(start["value"]) + change + half,
                change=change,
                change_low=change - half,
                change_high=change + half,
                damage_low=None,
                damage_high=None,
            )
        )
    return pd.concat(parts, ignore_index=True).astype(cells.dtypes.to_dict())


def results(cells: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Rows of a results table: the headline of each cell by three groups and in all, with keys of checkpoints."""
    draw = np.random.default_rng(seed)
    rows = []
    for _, cell in cells[cells["value"].notna()].iterrows():
        key = "-".join([cell["model"], cell["task"], cell["method"], cell["setting"] or ""])
        for group in ("all", "gender", "race"):
            shift = 0.0 if group == "all" else 0.1 * draw.normal() * (cell["high"] - cell["low"])
            value, half = cell["value"] + shift, (cell["high"] - cell["low"]) / 2
            rows.append(
                {each: cell[each] for each in ("model", "family", "task", "method", "setting", "sparsity", "metric")}
                | {"split": 0, "seed": 0, "dataset": cell["dataset"], "group": group, "n_items": 100, "key": key}
                | {"statistic": cell["statistic"], "value": value, "ci_low": value - half, "ci_high": value + half}
                | {"baseline_value": cell["baseline"]}
            )
    return results_file.frame(rows, results_file.RESULTS)


def measurements(results: pd.DataFrame) -> pd.DataFrame:
    """A latency of each checkpoint."""
    keys = sorted(set(results["key"]))
    rows = [{"key": key, "name": "latency_ms", "value": 20.0 - 0.1 * i} for i, key in enumerate(keys)]
    rows += [{"key": key, "name": "latency_ratio", "value": 1.1 - 0.007 * i} for i, key in enumerate(keys)]
    return results_file.frame(rows, results_file.MEASUREMENTS)
