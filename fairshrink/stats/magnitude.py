"""How large effects are whatever their sign, without what chance adds: mean squares less the error of each effect.

The mean of absolute values is above 0 by chance alone, and the more so the noisier a model is. ``mean(d**2 - v)`` with
an unbiased variance ``v`` of each ``d`` is not: its expectation is the mean square of the true effects. It can be
negative.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.stats.estimates import Estimate, Sums, Values, combine
from fairshrink.stats.jackknife import Column


def mean_square(x: ArrayLike, effects: Column, items: Column, mask: ArrayLike | None = None) -> Estimate:
    """Mean over ``effects`` of the square of each effect's mean of ``x``, less its error.

    Rows with one label in ``effects`` (a pair of persons) show one effect, in several ``items`` (sentences) with errors
    of their own. For an effect with sums ``S_t`` of ``x`` over ``n_t`` rows of item ``t``, S and n in all,

        (S**2 - sum_t S_t**2) / (n**2 - sum_t n_t**2),

    the mean product of rows of different items: the square of the mean less its estimated variance where items have
    equally many rows, and unbiased in any case, since the errors of different items are independent. Effects with a
    single item do not count; NaN if no other is left. An effect drawn twice counts twice.
    """
    inside = np.ones(len(np.asarray(x)), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    rows = np.flatnonzero(inside)
    values = np.asarray(x, dtype=np.float64)[rows]
    effect, item = _codes(effects)[rows], _codes(items)[rows]
    order = np.lexsort((item, effect))
    rows, values, effect, item = rows[order], values[order], effect[order], item[order]
    if not len(rows):
        return lambda weights: np.full(len(weights), np.nan)
    new_effect = np.diff(effect, prepend=-1) != 0
    cells = np.flatnonzero(new_effect | (np.diff(item, prepend=-1) != 0))
    starts = np.flatnonzero(new_effect[cells])
    size = np.diff(np.flatnonzero(new_effect), append=len(rows))

    def estimate(weights: Values) -> Values:
        w = np.take(np.asarray(weights, dtype=np.float64), rows, axis=1)
        counts = np.add.reduceat(w, cells, axis=1)
        n = np.add.reduceat(counts, starts, axis=1)
        pairs = n**2 - np.add.reduceat(counts**2, starts, axis=1)
        sums = np.add.reduceat(w * values, cells, axis=1)
        products = np.add.reduceat(sums, starts, axis=1) ** 2 - np.add.reduceat(sums**2, starts, axis=1)
        known = pairs > 1e-9
        squares = np.divide(products, pairs, out=np.zeros_like(products), where=known)
        drawn = np.where(known, n / size, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (drawn * squares).sum(axis=1) / drawn.sum(axis=1)

    return estimate


def jackknife_variance(estimate: Sums, clusters: Column) -> Estimate:
    """The variance of an estimate by leaving out one cluster after the other, as an estimate itself.

    Clusters that the estimate does not read do not count; one drawn twice counts as two.
    """
    rows = np.flatnonzero((estimate.features != 0).any(axis=1))
    codes = _codes(clusters)[rows]
    order = np.argsort(codes, kind="stable")
    rows, codes = rows[order], codes[order]
    features = estimate.features[rows]
    starts = np.flatnonzero(np.diff(codes, prepend=-1) != 0)
    size = np.diff(starts, append=len(rows))

    def variance(weights: Values) -> Values:
        w = np.take(np.asarray(weights, dtype=np.float64), rows, axis=1)
        drawn = np.add.reduceat(w, starts, axis=1) / size
        sums = np.add.reduceat(w[:, :, None] * features, starts, axis=1)
        one = np.divide(sums, drawn[:, :, None], out=np.zeros_like(sums), where=drawn[:, :, None] > 0)
        rest = sums.sum(axis=1, keepdims=True) - one
        without = estimate.of(rest.reshape(-1, rest.shape[2])).reshape(drawn.shape)
        without = np.where(drawn > 0, without, 0.0)
        n = drawn.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            center = (drawn * without).sum(axis=1) / n
            return (n - 1) / n * (drawn * (without - center[:, None]) ** 2).sum(axis=1)

    return variance if len(rows) else lambda weights: np.full(len(weights), np.nan)


def debiased_mean_square(effects: list[tuple[Estimate, Estimate]]) -> Estimate:
    """Mean of ``d**2 - v`` over effects and their variances; NaN where one of them is."""
    parts = [combine(lambda d, v: d**2 - v, effect, variance) for effect, variance in effects]
    return combine(lambda *squares: np.mean(squares, axis=0), *parts)


def _codes(column: Column) -> NDArray[np.intp]:
    return np.unique(np.asarray(column, dtype=str), return_inverse=True)[1]
