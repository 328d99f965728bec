"""Differences of two shares: intervals that count the error of a side at an end, and changes where no item moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairshrink.analysis.joint import Joint, measure
from fairshrink.stats.estimates import Estimate, Statistic, Sums, difference
from fairshrink.stats.inference import Inference
from fairshrink.stats.intervals import (
    cautious_correlation,
    effective_items,
    share_difference_interval,
    share_interval,
    where_nothing_moved,
)


def interval_of_difference(joint: Joint, statistics: Sequence[Statistic], level: float) -> tuple[float, float] | None:
    """The interval of a difference of shares, its mean over splits; None for other statistics."""
    pairs = [each.shares for each in statistics if each.shares is not None]
    if not pairs or len(pairs) < len(statistics):
        return None
    sides, unit = pairs[0].sides, pairs[0].unit
    apart = measure(joint, [difference(each.first, each.second) for each in pairs])[0].checkpoints
    one, other = (
        _side(joint, estimates, statistics[0], None if sides == "independent" else apart.df, pairs[0].answers)
        for estimates in ([each.first for each in pairs], [each.second for each in pairs])
    )
    together = 0.0
    if sides != "independent":
        one, other = one.beside(other), other.beside(one)
        together = _correlation(one.share, other.share, apart, min(one.effective, other.effective), sides)
    low, high = share_difference_interval(
        one.share.value, one.interval(level), other.share.value, other.interval(level), together
    )
    return unit * low, unit * high


@dataclass(frozen=True)
class _Side:
    """A share with the number of its items; ``at_end``: as how many they count where it is 0 or 1."""

    share: Inference
    n_items: int
    at_end: float

    @property
    def effective(self) -> float:
        return effective_items(self.share, self.n_items, self.at_end)

    def interval(self, level: float) -> tuple[float, float]:
        return share_interval(self.share, self.n_items, self.at_end, level)

    def beside(self, other: _Side) -> _Side:
        """At an end its items count for as much as those of the other side do, where that is not at one, too."""
        if not 0 < other.share.value < 1 or not other.effective > 0:
            return self
        return replace(self, at_end=max(self.at_end, self.n_items * other.effective / other.n_items))


def _side(joint: Joint, estimates: Sequence[Estimate], statistic: Statistic, df: float | None, answers: int) -> _Side:
    """``df``: of the difference, whose quantile it is then: of six words three on each side are no samples of three."""
    share = measure(joint, estimates)[0].checkpoints
    n_items = _items_read(estimates[0], statistic) * answers
    return _Side(share if df is None else replace(share, df=df), n_items, n_clusters(share))


def _correlation(one: Inference, other: Inference, apart: Inference, n: float, sides: str) -> float:
    """Of the errors of two shares, by the error of their difference; what it has to be where one of them has none."""
    errors = one.standard_error * other.standard_error
    if not errors > 0:
        # All on one side, if an item counts on one side only: what one share loses the other wins.
        return -1.0 if sides == "exclusive" and {one.value, other.value} == {0.0, 1.0} else 0.0
    both = one.standard_error**2 + other.standard_error**2 - apart.standard_error**2
    return cautious_correlation(both / (2 * errors), one.value, other.value, n)


def _items_read(estimate: Estimate, statistic: Statistic) -> int:
    if not isinstance(estimate, Sums):
        return statistic.n_items
    return int((estimate.features != 0).any(axis=1).sum())


def n_clusters(found: Inference) -> int:
    """How many clusters an error is of; 0 where it is of none."""
    return int(found.df) + 1 if found.df > 0 else 0


def change_of(found: Inference, statistic: Statistic) -> Inference:
    """A change of a statistic, with an error where it is made of shares and no item has changed sides."""
    if statistic.share_of is not None:
        return where_nothing_moved(found, statistic.n_items, statistic.share_of)
    if statistic.shares is not None:
        return where_nothing_moved(found, statistic.n_items, 2 * statistic.shares.unit)
    return found
