"""Do the metrics agree? Correlations of the changes that two metrics show, beside how reliable these changes are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fairshrink.analysis.known import Place
from fairshrink.analysis.measured import Measured
from fairshrink.contracts import BIAS_KINDS, CONTROLS
from fairshrink.stats.intervals import LEAST_PAIRS, spearman_interval

RELIABLE = 0.5
"""Below this more than half of the variance between checkpoints is error of measurement: with two such metrics a true
correlation of 0.9 appears as 0.45."""
COLUMNS = ["model", "task", "first", "second", "n_checkpoints", "spearman", "ci_low", "ci_high", "residual_spearman"]
COLUMNS += ["reliability_first", "reliability_second", "statement"]
Changes = dict[tuple[str, str], tuple[float, float, float]]
"""(method, setting) -> (change, its standard error, residual)."""


def agreement(found: Sequence[Measured], labels: Mapping[int, str], level: float) -> pd.DataFrame:
    """Spearman's correlation of every two bias metrics over the compressions of a model and task, controls left out.

    ``reliability``: the share of the variance of a metric's changes over compressions that is not error over items,
    1 - mean(e**2) / var(D), at least 0. The interval is that of independent pairs (Bonett and Wright 2000), missing
    below 8; compressions of one model are not independent, so it is too narrow, and ``statement`` uses it only to say
    that nothing was shown.
    """
    by_place: dict[Place, dict[str, Changes]] = defaultdict(lambda: defaultdict(dict))
    for each in found:
        who = each.identity
        if each.change is None or each.module.KIND not in BIAS_KINDS or who.method_family == CONTROLS:
            continue
        moved = each.change.checkpoints
        left = each.parts["residual"].checkpoints.value if each.parts is not None else math.nan
        by_place[who.model, who.task][labels[id(each)]][who.method, who.setting] = (
            moved.value,
            moved.standard_error,
            left,
        )
    rows = []
    for (model, task), metrics in sorted(by_place.items()):
        names = sorted(metrics)
        for i, first in enumerate(names):
            rows += [
                [model, task, first, other, *_pair(metrics[first], metrics[other], level)] for other in names[i + 1 :]
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def reliability(changes: Changes) -> float:
    """How much of what a metric's changes differ by is no error of measurement; NaN below three."""
    values = np.array([value for value, _, _ in changes.values()])
    errors = np.array([error for _, error, _ in changes.values()])
    usable = np.isfinite(values) & np.isfinite(errors)
    if usable.sum() < 3:
        return math.nan
    spread = float(np.var(values[usable], ddof=1))
    return max(0.0, 1 - float(np.mean(errors[usable] ** 2)) / spread) if spread > 0 else 0.0


def _pair(one: Changes, other: Changes, level: float) -> list[object]:
    shared = sorted(one.keys() & other.keys())
    changes = np.array([[one[cell][0], other[cell][0]] for cell in shared]).reshape(-1, 2)
    residuals = np.array([[one[cell][2], other[cell][2]] for cell in shared]).reshape(-1, 2)
    rho, n = _spearman(changes)
    low, high = spearman_interval(rho, n, level)
    sure = (reliability(one), reliability(other))
    return [n, rho, low, high, _spearman(residuals)[0], *sure, _statement(rho, low, high, n, sure)]


def _spearman(pairs: np.ndarray) -> tuple[float, int]:
    """The correlation and the number of complete pairs; NaN below four or where one side does not vary."""
    known = pairs[np.isfinite(pairs).all(axis=1)]
    n = len(known)
    if n < 4 or (np.ptp(known, axis=0) == 0).any():
        return math.nan, n
    from scipy import stats

    return float(stats.spearmanr(known[:, 0], known[:, 1]).statistic), n


def _statement(rho: float, low: float, high: float, n: int, sure: tuple[float, float]) -> str:
    if not min(sure) >= RELIABLE:
        return "not reliable enough to say whether they agree"
    if n < LEAST_PAIRS:
        return f"too few compressions to say whether they agree ({n}, {LEAST_PAIRS} are needed)"
    if math.isnan(rho):
        return "one of them does not vary"
    if low <= 0 <= high:
        return "no agreement shown"
    return "they rank the compressions alike" if rho > 0 else "they rank the compressions in opposite order"
