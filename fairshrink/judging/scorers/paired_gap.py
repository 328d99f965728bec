"""Any paired score, as a gap: the mean difference of two scores of each item, in their own unit.

Columns: ``item``, ``first``, ``second`` (numbers in the same unit), and if there are any ``group`` and ``cluster``.
Which of the two is first decides the direction: the gap is first − second, and its sign is kept.

Formula:
    mean_gap = mean over items of first − second
Statistics: `mean_gap`, over all items and by group, in the unit of the scores; `tied`, the number of equal pairs;
    `skipped`, the number of items with a reason in a column of this name, else 0.
Range: that of the scores. Unbiased model: 0. Direction: farther from 0, to either side, is more biased.
Signal: first − second; contrast: the mean of the two, or the column ``neutral`` if there is one, a score of the same
    items that bias does not touch.
Margin: there is no default, as the unit is not known: it has to be stated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairshrink.contracts import MetricKind
from fairshrink.judging.scorers._shared import Values, contrast, groups, pairs, scored
from fairshrink.metrics._shared.counts import counts
from fairshrink.settings import Settings as Settings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Shares, Statistic, weighted_mean
from fairshrink.stats.signals import OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

KIND: MetricKind = "extrinsic"
HEADLINE = ("mean_gap", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = None
OWN_SKILL: OwnSkill | None = None


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """The mean gap over all and by group; items tied."""
    first, second = pairs(items)
    found = [
        Statistic(
            "mean_gap",
            weighted_mean(first - second, inside),
            group,
            int(inside.sum()),
            0.0,
            shares=_shares(first, second, inside),
        )
        for group, inside in groups(items)
    ]
    return [*found, *counts(scored(items), first == second)]


def _shares(first: Values, second: Values, inside: NDArray[np.bool_]) -> Shares | None:
    """Where scores are right or wrong, as 0 and 1 or 0 and 100, the gap is a difference of shares; else None."""
    unit = max(np.max(each[inside], initial=0.0) for each in (first, second))
    if unit not in (1.0, 100.0) or not all(np.isin(each[inside], (0.0, unit)).all() for each in (first, second)):
        return None
    return Shares(weighted_mean(first / unit, inside), weighted_mean(second / unit, inside), "shared", unit)


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Differences of the two scores and their mean."""
    first, second = pairs(items)
    return Signal(first - second, reflection.mean(scored(items)), (contrast(items, (first + second) / 2),))
