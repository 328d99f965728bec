"""Any paired score, as a share: in how many pairs is the first of two scores the larger one?

Columns: ``item``, ``first``, ``second`` (numbers in the same unit), and if there are any ``group`` and ``cluster``.
Which of the two is first decides the direction: put first what a biased model scores higher.

Formula:
    preferred_share = 100 × share of pairs with first > second
Statistics: `preferred_share`, over all pairs and by group, in per cent; `tied`, the number of pairs with equal scores,
    which count as not preferred; `skipped`, the number with a reason in a column of this name, else 0.
Range: 0–100. Unbiased model: 50. Random model: not known, as it depends on what the scores are of (of sums of
    log-probabilities the shorter text wins). Direction: above 50 is a preference for the first, below for the second.
Signal: first − second, itself the contrast, with an intercept, as of `crows_pairs`: a compression that shrinks the
    preference and nothing else cannot be told from lost signal. With a column ``neutral``, a score of the same items
    that bias does not touch, this is the contrast, and its limit does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.contracts import MetricKind
from fairshrink.judging.scorers._shared import contrast, groups, pairs, scored
from fairshrink.metrics._shared.counts import counts
from fairshrink.settings import Settings as Settings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Statistic, weighted_mean
from fairshrink.stats.signals import Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

KIND: MetricKind = "intrinsic"
HEADLINE = ("preferred_share", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=5.0)
OWN_SKILL: OwnSkill | None = None


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """The share over all and by group; pairs tied."""
    first, second = pairs(items)
    preferred = 100.0 * (first > second)
    found = [
        Statistic("preferred_share", weighted_mean(preferred, inside), group, int(inside.sum()), 50.0, share_of=100.0)
        for group, inside in groups(items)
    ]
    return [*found, *counts(scored(items), first == second)]


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Differences of the two scores; the share above 0."""
    first, second = pairs(items)
    functional = reflection.share_above(scored(items), unit=100.0)
    return Signal(first - second, functional, (contrast(items, first - second),))
