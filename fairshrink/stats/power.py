"""What a cell could have shown: the minimum detectable change, and how much more data would settle a margin."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from fairshrink.stats.inference import Inference, combined_df, t_quantile

MOST = 10**9
"""More clusters or seeds than this are as good as none."""
LEAST_DF = 0.3
"""Below, thousands of standard errors are not found either, and the noncentral t is not inverted in a finite time."""


def detectable(standard_error: float, df: float, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest true change that a two-sided t-test finds with the given power (80%): the minimum detectable change.

    By the noncentral t distribution; with many degrees of freedom 2.80 standard errors. NaN without an error; ``inf``
    where hardly any degrees of freedom are left.
    """
    if not (df > 0 and standard_error >= 0):
        return math.nan
    if df < LEAST_DF:
        return math.inf
    # The chance to be found on the wrong side is below 1e-3 at any power worth asking for, and is left out.
    return float(special.nctdtrinc(df, 1 - power, t_quantile((1 + level) / 2, df))) * standard_error


def detectable_change(found: Inference, power: float = 0.8, level: float = 0.95) -> float:
    """The minimum detectable change of an inference."""
    return detectable(found.standard_error, found.df, power, level)


def clusters_needed(
    standard_error: float, n_clusters: int, margin: float, power: float = 0.8, level: float = 0.95
) -> float:
    """Clusters of items that make the margin detectable, if more of them are like those that gave the error.

    The error falls with the square root of their number, and t has one degree of freedom less than clusters. Items:
    the same multiple of today's. ``inf`` beyond a billion; NaN without an error.
    """

    def resolves(n: int) -> bool:
        return detectable(standard_error * math.sqrt(n_clusters / n), n - 1.0, power, level) <= margin

    return _first(resolves, 2, margin) if standard_error >= 0 else math.nan


def splits_needed(
    between: float, shared: float, item_df: float, margin: float, power: float = 0.8, level: float = 0.95
) -> float:
    """Splits that make the margin detectable for training in general (`splits.split_random`).

    ``between`` is the standard deviation over splits, ``shared`` the covariance that splits have through their items:
    more splits do not reduce it, so that the answer can be ``inf``.
    """

    def resolves(m: int) -> bool:
        own = between**2 / m
        df = combined_df(own, m - 1.0, shared, item_df)
        return detectable(math.sqrt(own + shared), df, power, level) <= margin

    return _first(resolves, 3, margin) if between >= 0 and shared >= 0 else math.nan


def controls_needed(
    between: float,
    splits: int,
    margin: float,
    power: float = 0.8,
    level: float = 0.95,
    *,
    leverage: float = 1.0,
    fitted: int = 1,
    df_of_one: float = 1.0,
) -> float:
    """Control seeds that make a difference of ``margin`` from what they predict detectable.

    The cell is a mean over ``splits``, ``between`` is the standard deviation over control seeds. The cell's own
    splits set a limit, so that the answer can be ``inf``. n controls over the same damages have the variance
    ``between² · leverage / n`` and ``df_of_one · (n - fitted)`` degrees of freedom; the defaults are those of a mean.
    """

    def resolves(n: int) -> bool:
        error = between * math.sqrt(1 / splits + leverage / n)
        return detectable(error, df_of_one * (n - fitted), power, level) <= margin

    return _first(resolves, fitted + 1, margin) if between >= 0 else math.nan


def _first(resolves: Callable[[int], bool], least: int, margin: float) -> float:
    """The smallest number from ``least`` on that resolves; those above it do so too."""
    if margin <= 0:
        raise ValueError(f"a margin must be positive, not {margin}")
    low, high = least - 1, least
    while not resolves(high):
        low, high = high, 2 * high
        if high > MOST:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if resolves(middle) else (middle, high)
    return float(high)
