"""Can a metric be believed on a model? Tests whose right answer is known, from the controls and doses of a study.

- *dose*: baselines fine-tuned with more and more of a stated stereotype. The value must move with the amount in one
  direction: Spearman's correlation of at least 0.9 in size, the baseline being amount 0, and the largest amount must
  be detected.
- *power*: the smallest amount that moves the metric by its margin or more must be found in 80% of cases, that is, its
  minimum detectable change must not be larger than the change.
- *seeds*: baselines that differ in their seed alone must not differ by more than the margin.
- *splits*: half the length of the interval over splits (training in general) should not exceed the margin. Three or
  four splits cannot tell that it does: then the result is open.
- *random*: models with random weights have learned no bias, so their mean should lie within the margin of the unbiased
  value. A metric that reads ignorance as bias is not wrong, but has to be read beside its random value: then the
  result is open.
- *performance*: the metric must be no function of the task score (`degeneracy`).
- *templates*: no single template (term, occupation: whatever the metric's first column of clusters is) may move the
  baseline's value by more than the margin.
- *non_social*: where a metric scores items that concern no group of people, it must find nothing beyond the margin
  there. If it does, but more for people, the result is open.

Exchanging the members of a pair is not tested on models: every metric here is a difference or a comparison of the two
and changes its sign, which the tests of the metrics hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from fairshrink.contracts import BASELINE, BIAS_KINDS, NON_SOCIAL, RANDOM_INIT

RANK_CORRELATION = 0.9
SIGNIFICANCE = 0.05
LEAST_DOSES = 3
ENOUGH_SPLITS = 5
DOSE, OTHER_SEED = "dose", "other_seed"
COLUMNS = ["model", "task", "metric", "test", "value", "low", "high", "threshold", "passed", "statement"]
Result = tuple[str, float, float, float, float, bool | None, str]
"""Test, value with its interval, threshold, whether it passed (None: cannot be told), what was found."""


def validity(cells: pd.DataFrame, degeneracy: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """One row for each test that the study can make of a bias metric, by model and task.

    ``results`` is the table of results: statistics of the baselines for the group `NON_SOCIAL`.
    """
    rows = []
    for (model, task, metric), group in cells[cells["kind"].isin(BIAS_KINDS)].groupby(["model", "task", "metric"]):
        alarms = degeneracy[(degeneracy[["model", "task", "metric"]] == [model, task, metric]).all(axis=1)]
        found = [*_doses(group), *_seeds(group), *_splits(group), *_random(group), *_performance(alarms)]
        found += [*_templates(group), *_non_social(group, results)]
        rows += [[model, task, metric, *each] for each in found]
    return pd.DataFrame(rows, columns=COLUMNS)


def _doses(group: pd.DataFrame) -> Iterator[Result]:
    doses = group[group["method"] == DOSE]
    if doses.empty:
        return
    named = doses["setting"].str.extract(r"^(?P<dose>\w+)=(?P<amount>\d+)(?P<rest>.*)$")
    doses = doses.assign(dose=named["dose"] + named["rest"], amount=named["amount"].astype(float))
    from scipy import stats

    doses = doses.sort_values("amount")
    margin = float(group["margin"].iloc[0])
    for name, mine in doses.groupby("dose"):
        if len(mine) < LEAST_DOSES:
            continue
        values = [*group.loc[group["method"] == BASELINE, "value"], *mine["value"]]
        amounts = [0.0, *mine["amount"]]
        rho = float(stats.spearmanr(amounts, values).statistic) if np.ptp(values) > 0 else 0.0
        last = mine.iloc[-1]
        detected = bool(last["change_p"] <= SIGNIFICANCE)
        shown = (
            f"correlation with the amount of {name} {rho:.2f}, the largest amount {'' if detected else 'not '}detected"
        )
        passed = abs(rho) >= RANK_CORRELATION and detected
        yield "dose", rho, math.nan, math.nan, RANK_CORRELATION, passed, shown
        yield from _power(str(name), mine, margin)


def _power(name: str, doses: pd.DataFrame, margin: float) -> Iterator[Result]:
    worth = doses[doses["change"].abs() >= margin]
    if worth.empty:
        yield "power", math.nan, math.nan, math.nan, margin, False, f"no amount of {name} moves it by its margin"
        return
    least = worth.iloc[0]
    enough = bool(least["mde"] <= abs(least["change"]))
    said = f"{name}={least['amount']:g} moves it by {least['change']:.3g}; detectable is {least['mde']:.3g}"
    yield "power", float(least["mde"]), math.nan, math.nan, float(abs(least["change"])), enough, said


def _seeds(group: pd.DataFrame) -> Iterator[Result]:
    other = group[(group["method"] == OTHER_SEED) & group["change"].notna()]
    if other.empty:
        return
    largest, margin = float(other["change"].abs().max()), float(group["margin"].iloc[0])
    said = f"{len(other)} other seeds move it by up to {largest:.3g}"
    yield "seeds", largest, math.nan, math.nan, margin, largest <= margin, said


def _splits(group: pd.DataFrame) -> Iterator[Result]:
    for _, row in group[(group["method"] == BASELINE) & group["training_low"].notna()].iterrows():
        half, margin = (row["training_high"] - row["training_low"]) / 2, row["margin"]
        said = f"the baseline is {row['value']:.3g} ± {half:.2g} over {row['n_splits']} trainings"
        passed = True if half <= margin else False if row["n_splits"] >= ENOUGH_SPLITS else None
        yield "splits", row["value"], row["training_low"], row["training_high"], margin, passed, said


def _random(group: pd.DataFrame) -> Iterator[Result]:
    random = group[(group["method"] == RANDOM_INIT) & group["value"].notna()]
    if random.empty or random["unbiased"].isna().all():
        return
    away = float((random["value"] - random["unbiased"]).mean())
    margin = float(group["margin"].iloc[0])
    said = f"{len(random)} random models are {away:+.3g} away from unbiased"
    yield "random", away, math.nan, math.nan, margin, True if abs(away) <= margin else None, said


def _performance(alarms: pd.DataFrame) -> Iterator[Result]:
    for _, row in alarms.iterrows():
        known = not pd.isna(row["correlation"])
        passed = not row["alarm"] if known else None
        yield "performance", row["correlation"], math.nan, math.nan, 0.99, passed, row["statement"]


def _templates(group: pd.DataFrame) -> Iterator[Result]:
    for _, row in group[(group["method"] == BASELINE) & group["influence"].notna()].iterrows():
        most, margin = float(row["influence"]), float(row["margin"])
        said = f"leaving out one cluster of items moves it by up to {most:.2g}"
        yield "templates", most, math.nan, math.nan, margin, most <= margin, said


def _non_social(group: pd.DataFrame, results: pd.DataFrame) -> Iterator[Result]:
    baselines = group[group["method"] == BASELINE]
    if baselines.empty:
        return
    first = baselines.iloc[0]
    margin, people = float(first["margin"]), abs(first["value"] - first["unbiased"])
    mine = results[
        (results[["model", "task", "metric"]] == list(first[["model", "task", "metric"]])).all(axis=1)
        & (results["method"] == BASELINE)
        & (results["group"] == NON_SOCIAL)
        & (results["statistic"] == first["statistic"])
    ]
    for _, row in mine.iterrows():
        away = sorted(row[name] - row["unbiased_value"] for name in ("ci_low", "ci_high"))
        found = row["value"] - row["unbiased_value"]
        passed = _nothing(away[0], away[1], abs(found), people, margin)
        said = f"items that concern nobody are {found:+.3g} away from unbiased, those about people {people:.3g}"
        yield "non_social", row["value"], row["ci_low"], row["ci_high"], margin, passed, said


def _nothing(low: float, high: float, found: float, people: float, margin: float) -> bool | None:
    if -margin <= low and high <= margin:
        return True
    beyond = low > margin or high < -margin
    return False if beyond and found >= people else None
