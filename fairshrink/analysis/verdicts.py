"""Verdicts: did the bias change, and is the change more than a loss of skill?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairshrink.analysis.cells import CELL
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.stats.estimates import adjust, bootstrap_counts, interval, spearman

REAL = "real change"
NOTHING = "no detectable change"
LOST = "moves with loss of skill"
UNKNOWN = "change, skill unknown"
UNDEFINED = "undefined"
UNTESTED = "not tested"
SIGNIFICANCE = 0.05
TASK_METRIC = "task_score"
COLUMNS = [
    *CELL,
    "sparsity",
    "control",
    "metric",
    "value",
    "baseline",
    "change",
    "unbiased",
    "random",
    "direction",
    "p",
    "p_adjusted",
    "task_score",
    "task_score_baseline",
    "task_score_random",
    "skill_kept",
    "skill",
    "n_splits",
    "verdict",
]


def task_metric(metrics: pd.Series, kinds: pd.Series) -> str | None:
    """The metric that stands for skill: the task's own score if it is there, else the first of kind "task"."""
    names = sorted(set(metrics[kinds == "task"]))
    own = [name for name in names if name.startswith(TASK_METRIC)]
    return (own or names or [None])[0]


def verdicts(cells: pd.DataFrame) -> pd.DataFrame:
    """One verdict per compressed cell and bias metric, on its headline. The rule, in full:

    1. A change is *detected* if its p-value (paired cluster bootstrap against the baseline, merged over splits by
       `cells.merged_p`), adjusted by Benjamini and Hochberg over all rows of this table except controls', is at
       most 0.05. If not: "no detectable change". Controls are adjusted among themselves: they are there to differ,
       and must not lend significance to the rest.
    2. ``skill_kept = (task score − random model's) / (baseline's − random model's)``. If it is below 0.5, that is,
       if the task score lost more than half of its distance to the random model's, skill is "lost" and a detected
       change is *explained by loss of skill*: "moves with loss of skill". A task score that is undefined where the
       baseline's is not, such as the correlation of a constant prediction, is lost skill too.
    3. Otherwise skill is "kept" and a detected change is a "real change". Where there is no task score, or the
       random model's is not known, or the baseline does not differ from it: "change, skill unknown".

    ``direction`` says whether the value moved "towards" or "away from" the unbiased model's.
    """
    bias = cells[cells["kind"].isin(BIAS_KINDS) & (cells["method"] != BASELINE)].copy()
    if bias.empty:
        return pd.DataFrame(columns=COLUMNS)
    bias = bias.merge(_skill(cells), on=CELL, how="left")
    bias["skill_kept"] = _kept(bias).round(9)
    bias["skill"] = _skill_left(bias)
    bias["p_adjusted"] = bias.groupby("control")["p"].transform(adjust)
    bias["direction"] = _direction(bias)
    bias["verdict"] = _verdict(bias)
    return bias[COLUMNS]


def agreement(rows: pd.DataFrame, level: float, resamples: int) -> pd.DataFrame:
    """Do the metrics agree? Spearman's correlation of every two headlines over the checkpoints of a model and task.

    A bias metric enters as its distance from the unbiased model's value where that is known, else as its value; the
    task score as it is; damage is left out. ``partial`` is the correlation with the task score held fixed. Controls are
    left out: one random model would make any two metrics agree. The interval resamples compressions (method and
    setting, all splits together). Missing where there are fewer than four checkpoints or one side is constant.
    """
    made = []
    for (model, task), group in rows[~rows["control"] & (rows["kind"] != "damage")].groupby(["model", "task"]):
        skill = task_metric(group["metric"], group["kind"])
        wide = _wide(group)
        names = sorted(wide.columns, key=lambda name: (name != skill, name))
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                pair = wide[[first, second]].dropna()
                rho, low, high = _spearman(pair, level, resamples)
                partial = _partial(wide, first, second, skill) if skill not in (None, first) else np.nan
                made.append([model, task, first, second, len(pair), rho, low, high, partial])
    columns = ["model", "task", "first", "second", "n_checkpoints", "spearman", "ci_low", "ci_high", "partial"]
    return pd.DataFrame(made, columns=columns)


def _skill(cells: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for _, group in cells.groupby(["model", "task"]):
        chosen = group[group["metric"] == task_metric(group["metric"], group["kind"])]
        parts.append(chosen[[*CELL, "value", "baseline", "random"]])
    names = {"value": "task_score", "baseline": "task_score_baseline", "random": "task_score_random"}
    return pd.concat(parts, ignore_index=True).rename(columns=names)


def _kept(table: pd.DataFrame) -> pd.Series:
    distance = table["task_score_baseline"] - table["task_score_random"]
    return (table["task_score"] - table["task_score_random"]) / distance.where(distance.abs() > 1e-9)


def _direction(table: pd.DataFrame) -> np.ndarray:
    now, before = (table["value"] - table["unbiased"]).abs(), (table["baseline"] - table["unbiased"]).abs()
    return np.select([now < before, now > before], ["towards", "away from"], "")


def _skill_left(table: pd.DataFrame) -> np.ndarray:
    kept, judged = table["skill_kept"], table["task_score_baseline"].notna() & table["task_score_random"].notna()
    vanished = judged & table["task_score"].isna()
    return np.select([(kept < 0.5) | vanished, kept >= 0.5], ["lost", "kept"], "unknown")


def _verdict(table: pd.DataFrame) -> np.ndarray:
    p, skill = table["p_adjusted"], table["skill"]
    rules = [
        (table["change"].isna(), UNDEFINED),
        (p.isna(), UNTESTED),
        (p > SIGNIFICANCE, NOTHING),
        (skill == "lost", LOST),
        (skill == "kept", REAL),
    ]
    return np.select([holds for holds, _ in rules], [verdict for _, verdict in rules], UNKNOWN)


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Checkpoints × metrics: amount of bias, and task scores."""
    unbiased = rows["unbiased_value"].where(rows["kind"] != "task")
    amount = (rows["value"] - unbiased).abs().where(unbiased.notna(), rows["value"])
    index = ["method", "setting", "key"]
    return rows.assign(amount=amount).pivot(index=index, columns="metric", values="amount").sort_index()


def _spearman(pair: pd.DataFrame, level: float, resamples: int) -> tuple[float, float, float]:
    if len(pair) < 4:
        return np.nan, np.nan, np.nan
    estimate = spearman(pair.iloc[:, 0], pair.iloc[:, 1])
    groups = pair.index.droplevel("key")
    codes = np.unique([" ".join(each) for each in groups], return_inverse=True)[1]
    counts = bootstrap_counts(int(codes.max()) + 1, resamples, seed=0)
    rho = float(estimate(np.ones((1, len(pair))))[0])
    return rho, *interval(estimate(counts[:, codes].astype(float)), level)


def _partial(wide: pd.DataFrame, first: str, second: str, skill: str) -> float:
    """Spearman's correlation of two columns given a third, from the three pairwise ones."""
    known = wide[[first, second, skill]].dropna()
    if len(known) < 4:
        return np.nan
    ranks = known.rank()
    if (ranks.nunique() < 2).any():
        return np.nan
    r = np.corrcoef(ranks.to_numpy(), rowvar=False)
    rest = (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
    return float((r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt(rest)) if rest > 1e-12 else np.nan
