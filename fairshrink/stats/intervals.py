"""Intervals of shares, correlations and areas, where value ± t × error is wrong near the ends; debiased mean square."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fairshrink.stats.inference import Inference, t_quantile

LEAST_PAIRS = 8
"""No interval of a correlation of fewer pairs."""
FISHER_PAIRS = 10
"""From here on the normal approximation of Fisher's z; below it, Student's t."""


def share_interval(
    share: Inference, n_items: int, n_clusters: float, level: float = 0.95, unit: float = 1.0
) -> tuple[float, float]:
    """Interval of a share of items that lie in clusters (Wilson 1927, with an effective sample size).

    The effective number of items is what would give the clustered variance to independent items, ``p (1 - p) / V``,
    at most ``n_items`` (Korn and Graubard 1998); the quantile is Student's t with the degrees of freedom of
    ``share``. Where all or no items are counted the variance says nothing, and each cluster counts as one item.
    ``unit=100`` for percent.
    """
    p, n = share.value / unit, effective_items(share, n_items, n_clusters, unit)
    if math.isnan(n):
        return math.nan, math.nan
    df = share.df if share.df > 0 else n_clusters - 1.0
    z = t_quantile((1 + level) / 2, df)
    center, scale = p + z**2 / (2 * n), 1 + z**2 / n
    reach = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At the ends the formula gives 0 or 1 up to rounding; a share is never outside.
    low = 0.0 if p <= 0 else max(0.0, (center - reach) / scale)
    high = 1.0 if p >= 1 else min(1.0, (center + reach) / scale)
    return unit * low, unit * high


def effective_items(share: Inference, n_items: int, n_clusters: float, unit: float = 1.0) -> float:
    """How many independent items know a share as well as the clustered ones do; NaN where that is not known."""
    p, variance = share.value / unit, (share.standard_error / unit) ** 2
    if math.isnan(p) or n_items < 1 or n_clusters < 2:
        return math.nan
    if not 0 < p < 1:
        return float(n_clusters)
    if math.isnan(variance):
        return math.nan
    return min(n_items, p * (1 - p) / variance) if variance > 0 else float(n_clusters)


def bounded_interval(found: Inference, low: float, high: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a value between ``low`` and ``high`` that stays between them.

    Symmetric in ``log((value - low) / (high - value))``, whose error is that of the value by the delta method: for
    correlations (-1 and 1) twice Fisher's z, for areas under a curve (0 and 1) the logit. An error of 0, of a value
    that no cluster changes, is no certainty: NaN. At an end what lies inside of value ± t × error is given.
    """
    below, above = found.interval(level)
    value, span = found.value, high - low
    if math.isnan(below) or math.isnan(above) or below == above:
        return math.nan, math.nan
    if not low < value < high:
        return min(max(below, low), high), min(max(above, low), high)
    center = math.log((value - low) / (high - value))
    reach = (above - below) / 2 * span / ((value - low) * (high - value))
    ends = [low + span * float(special.expit(center + each)) for each in (-reach, reach)]
    return ends[0], ends[1]


def share_difference_interval(
    first: float, of_first: tuple[float, float], second: float, of_second: tuple[float, float], correlation: float = 0.0
) -> tuple[float, float]:
    """Interval of ``first - second``, two shares, from those of both (Newcombe 1998).

    A share of nothing or all of a few items has no variance that a jackknife could see, and so its error would not
    count in that of a difference. ``correlation`` is that of the two: 0 for items without a common cluster, method 10
    of his paper on independent shares; else that of the paper on paired ones, with `cautious_correlation`.
    """
    below = (first - of_first[0], of_second[1] - second)
    above = (of_first[1] - first, second - of_second[0])
    return first - second - _hypotenuse(*below, correlation), first - second + _hypotenuse(*above, correlation)


def where_nothing_moved(found: Inference, n_items: int, unit: float = 1.0) -> Inference:
    """A change of a share with an error where the jackknife sees none, as no item has changed sides.

    None of a few items is no certainty: the 90% interval is then that of paired shares without discordant pairs,
    ``± unit z**2 / (n + z**2)`` (Tango 1998), by Student's t. ``unit``: how far the statistic moves if all items do.
    """
    if found.standard_error != 0 or found.value != 0 or not found.df > 0 or n_items < 1:
        return found
    t = t_quantile(0.95, found.df)
    return Inference(found.value, unit * t / (n_items + t**2), found.df)


def cautious_correlation(correlation: float, first: float, second: float, n: float) -> float:
    """The correlation of two shares of ``n`` pairs, less what rounding to whole items may have added to it.

    Method 10 of Newcombe's paper on paired data (1998): with the shares ``p`` and ``q`` of ``n`` pairs a positive one
    is smaller by ``1 / (2 n sqrt(p (1 - p) q (1 - q)))``, and at least 0. 0 where a share is 0 or 1, or nothing is
    known.
    """
    spread = first * (1 - first) * second * (1 - second)
    if math.isnan(correlation) or math.isnan(n) or spread <= 0:
        return 0.0
    if correlation <= 0:
        return max(correlation, -1.0)
    return max(min(correlation, 1.0) - 1 / (2 * n * math.sqrt(spread)), 0.0)


def _hypotenuse(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0))


def effect_size_interval(
    within: Inference, n_first: int, n_second: int, level: float = 0.95
) -> tuple[float, float, float]:
    """WEAT's effect size with its interval (value, low, high), from that inside sets (`reflection.effect_size_within`).

    With ``N = n_first + n_second`` words, ``d = g sqrt((N - 1) / (N - 2 + g**2 n_first n_second / N))`` for ``g``
    inside sets.
    """
    n = n_first + n_second

    def in_union(g: float) -> float:
        return g * math.sqrt((n - 1) / (n - 2 + g**2 * n_first * n_second / n))

    low, high = within.interval(level)
    return in_union(within.value), in_union(low), in_union(high)


def spearman_interval(rho: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of Spearman's correlation of ``n`` independent pairs (Bonett and Wright 2000).

    Fisher's z with the standard error ``sqrt((1 + rho**2 / 2) / (n - 3))``. NaN below 8 pairs; for 8 and 9 the
    quantile is that of t(n - 2) instead of the normal, which is wider. A rank correlation of exactly 1 or -1 is no
    certainty: the inner end is then that of the next smaller value that ``n`` pairs without ties can have.
    """
    if n < LEAST_PAIRS or math.isnan(rho):
        return math.nan, math.nan
    next_to_one = 1 - 12 / (n * (n**2 - 1))
    inner = min(max(rho, -next_to_one), next_to_one)
    quantile = t_quantile((1 + level) / 2, n - 2.0) if n < FISHER_PAIRS else float(special.ndtri((1 + level) / 2))
    reach = quantile * math.sqrt((1 + inner**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(inner) - reach), math.tanh(math.atanh(inner) + reach)
    return (-1.0 if rho <= -next_to_one else low), (1.0 if rho >= next_to_one else high)


def debiased_mean_square(values: ArrayLike, standard_errors: ArrayLike) -> float:
    """Mean of ``d**2 - v``: an unbiased estimate of the mean square of the true values.

    ``v`` is the variance with which each is known. It can be negative, where the values vary less than their errors.
    Entries with a NaN on either side are left out; NaN if none is left.
    """
    d, e = np.asarray(values, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    squares = d**2 - e**2
    defined = squares[~np.isnan(squares)]
    return float(defined.mean()) if len(defined) else math.nan
