"""Items that changed side: how many, how many lost signal alone predicts, and whether they went one way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairshrink.contracts import BASELINE, CONTROLS
from fairshrink.stats.estimates import Values
from fairshrink.stats.signals import Signal, kept

UNIFORM = 0.5
"""What a uniform guesser flips."""
NUMERIC = "noise_floor"
"""The control that scores the same weights in other batches: what rounding flips."""
COLUMNS = ["model", "task", "method", "setting", "metric", "n_items", "flipped", "expected", "uniform", "numeric"]
COLUMNS += ["toward", "away", "mcnemar_p"]
_PAIRINGS = 16


@dataclass(frozen=True)
class Flips:
    """Of one checkpoint against its baseline: shares of its ``n_items`` items with a signal.

    ``toward``: from at most 0 to above 0; ``away``: the other way. ``expected``: the share of flips where the signal
    is only lost, with the errors of other items in place of their own. ``mcnemar_p``: exact, two-sided, that flips
    went either way alike; it takes items for independent.
    """

    n_items: int
    toward: float
    away: float
    expected: float
    mcnemar_p: float

    @property
    def flipped(self) -> float:
        """The share that changed side either way."""
        return self.toward + self.away


def flips(before: Signal, after: Signal) -> Flips:
    """Flips from a baseline's signals to a checkpoint's; unknown where one of the checkpoint's is."""
    rows = np.flatnonzero(~np.isnan(before.values))
    s_b, s_c = before.values[rows], after.values[rows]
    if np.isnan(s_c).any():
        return Flips(len(rows), *[float("nan")] * 4)
    up, down = int(np.sum((s_b <= 0) & (s_c > 0))), int(np.sum((s_b > 0) & (s_c <= 0)))
    n = len(rows)
    slope, intercept = kept(before.contrasts[0], after.contrasts[0])(np.ones((1, len(before.values))))[:, 0]
    expected = _expected(s_b, s_c, float(intercept), float(slope))
    return Flips(n, up / max(n, 1), down / max(n, 1), expected, _mcnemar(up, down))


def table(found: Sequence[tuple[tuple[str, str, str, str], str, str, Sequence[Flips]]]) -> pd.DataFrame:
    """One row per compression and metric, from ((model, task, method, setting), metric, method's family, by split).

    Shares are means over splits; ``mcnemar_p`` is the largest of the splits': they share their items, and add up to
    no more evidence than the weakest of them.
    """
    numeric: dict[tuple[str, str, str], float] = {}
    for (model, task, method, _), metric, _, by_split in found:
        if method == NUMERIC:
            numeric[model, task, metric] = _mean(each.flipped for each in by_split)
    rows = [
        {
            "model": model,
            "task": task,
            "method": method,
            "setting": setting,
            "metric": metric,
            "n_items": max(each.n_items for each in by_split),
            "flipped": _mean(each.flipped for each in by_split),
            "expected": _mean(each.expected for each in by_split),
            "uniform": UNIFORM,
            "numeric": numeric.get((model, task, metric)),
            "toward": _mean(each.toward for each in by_split),
            "away": _mean(each.away for each in by_split),
            "mcnemar_p": max(each.mcnemar_p for each in by_split),
        }
        for (model, task, method, setting), metric, family, by_split in found
        if by_split and method != BASELINE and family != CONTROLS
    ]
    order = ["model", "task", "metric", "method", "setting"]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(order, kind="stable", ignore_index=True)


def _mcnemar(up: int, down: int) -> float:
    # Inside functions, here and elsewhere in this folder: a table of one model's statistics needs none of it.
    from scipy import stats

    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def _expected(s_b: Values, s_c: Values, intercept: float, slope: float) -> float:
    center = intercept + slope * s_b
    errors = s_c - center
    if not len(errors) or np.isnan(errors).any():
        return float("nan")
    errors = errors - errors.mean()
    draw = np.random.default_rng(0)
    flipped = [((center + draw.permutation(errors) > 0) != (s_b > 0)).mean() for _ in range(_PAIRINGS)]
    return float(np.mean(flipped))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
