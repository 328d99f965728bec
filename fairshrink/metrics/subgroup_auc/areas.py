"""Areas under the ROC curve of weighted items: overall, inside an identity, and between it and the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairshrink.stats.estimates import Estimate, Values

Mask = NDArray[np.bool_]


def area(signals: Values, weights: Values, positive: Mask, negative: Mask) -> Values:
    """Probability ``[B]`` that a positive item has the larger signal than a negative one, half of it where they tie.

    ``signals`` ``[B, n]`` or ``[1, n]``, ``weights`` ``[B, n]``. NaN without a positive or a negative item, and where
    the signal of one of them is NaN.
    """
    inside = positive | negative
    is_positive = positive[inside]
    values = signals[:, inside]
    found = np.full(len(weights), np.nan)
    codes: NDArray[np.intp] | None = None
    for row, weight in enumerate(weights[:, inside]):
        mine = values[row if len(values) > 1 else 0]
        if codes is None or len(values) > 1:
            if np.isnan(mine).any():
                continue
            codes = np.unique(mine, return_inverse=True)[1]
        above, below = (np.bincount(codes, weights=weight * each) for each in (is_positive, ~is_positive))
        both = above.sum() * below.sum()
        if both > 0:
            found[row] = (above * (np.cumsum(below) - below / 2)).sum() / both
    return found


@dataclass(frozen=True)
class Sides:
    """Positive and negative items of which an area is computed."""

    positive: Mask
    negative: Mask

    def of(self, signals: Values) -> Estimate:
        """The area of one signal ``[n]``."""
        return lambda weights: area(signals[None, :], np.asarray(weights), self.positive, self.negative)


def subgroup(positive: Mask, scored: Mask, member: Mask) -> Sides:
    """Items of the identity alone."""
    return Sides(scored & member & positive, scored & member & ~positive)


def background_positive(positive: Mask, scored: Mask, member: Mask) -> Sides:
    """BPSN: positive items that do not mention the identity, negative ones that do."""
    return Sides(scored & ~member & positive, scored & member & ~positive)


def background_negative(positive: Mask, scored: Mask, member: Mask) -> Sides:
    """BNSP: negative items that do not mention the identity, positive ones that do."""
    return Sides(scored & member & positive, scored & ~member & ~positive)


def shift(first: Sides, second: Sides) -> Callable[[Values, Values], Values]:
    """Area of ``first`` less that of ``second``, of signals under weights."""
    return lambda signals, weights: (
        area(signals, weights, first.positive, first.negative)
        - area(signals, weights, second.positive, second.negative)
    )


def generalized_mean(estimates: Sequence[Estimate], power: float) -> Estimate:
    """(mean of the estimates to the power p) to 1/p: with p far below 0 nearly the smallest one."""

    def mean(weights: Values) -> Values:
        values = np.stack([each(weights) for each in estimates])
        with np.errstate(divide="ignore"):
            return np.asarray((values**power).mean(axis=0) ** (1 / power))

    return mean
