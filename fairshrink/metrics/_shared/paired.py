"""Estimates for items with several predictions each: how far apart these are, relative to the spread of all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.metrics._shared.counts import SAME
from fairshrink.stats.estimates import Estimate, Sums, combine, weighted_mean


def pooled_spread(values: NDArray, mask: ArrayLike | None = None) -> Estimate:
    """Standard deviation (ddof 1) of all values ``[n, k]`` of the rows in ``mask``; weights are per row."""
    inside = np.ones(len(values), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    centered = np.where(inside[:, None], values - values[inside].mean(), 0.0)
    features = np.column_stack([(centered**2).sum(axis=1), centered.sum(axis=1), values.shape[1] * inside])
    return Sums(features, lambda s: np.sqrt(np.maximum(s[:, 0] - s[:, 1] ** 2 / s[:, 2], 0.0) / (s[:, 2] - 1)))


def relative_difference(differences: NDArray, spread: Estimate, mask: ArrayLike | None = None) -> Estimate:
    """Mean absolute difference in units of the spread; NaN for predictions that do not vary at all."""
    return combine(
        lambda mean, sd: np.where(sd > SAME, mean / sd, np.nan),
        weighted_mean(np.abs(differences), mask),
        spread,
    )
