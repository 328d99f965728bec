"""Statistics of per-item scores that can be resampled: values, intervals and paired tests from one definition.

An *estimate* maps weights ``[B, n]``, the multiplicity of each of the ``n`` rows of a table of items in each of ``B``
resamples, to ``B`` values. Weights of 1 give the point estimate, weights of a bootstrap its distribution; the same
weights for a model and its baseline give a paired comparison. Items that belong together (one template, one
target term) are resampled together: the percentile cluster bootstrap of Davison and Hinkley, *Bootstrap Methods and
their Application* (1997), chapter 3.8.

A boolean ``mask`` says which rows count; a NaN inside the mask makes the estimate NaN. Estimates are NaN, without a
warning, if a resample contains no row to estimate from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.contracts import Direction

Values = NDArray[np.float64]
Estimate = Callable[[Values], Values]

# Elements of a block of weights: half a megabyte, so that it fits the cache and memory is bounded.
_BLOCK = 1 << 16


Sides = Literal["independent", "shared", "exclusive"]
"""What the items of two shares have to do with each other; see `Shares`."""


@dataclass(frozen=True)
class Shares:
    """The two shares whose difference, times ``unit``, a statistic is; ``first`` and ``second`` are between 0 and 1.

    ``sides``: "independent" where no cluster has items of both, "shared" where clusters, or the items themselves,
    count on both sides, "exclusive" where the items are the same and none of them counts on both sides.
    ``answers``: how many answers each item has, of which its score is a share.
    """

    first: Estimate
    second: Estimate
    sides: Sides
    unit: float = 1.0
    answers: int = 1


@dataclass(frozen=True)
class Statistic:
    """One number that a metric reports for one group of items.

    ``estimate`` is a plain number where resampling items has no meaning: counts, and p-values, which belong to the
    whole sample.

    ``unbiased`` and ``random`` are the theoretical values of an unbiased and a random model, None if there is none.
    ``higher_is``: "better", "worse", "more_biased", "" (bias is the distance from ``unbiased``, either side; without
    one the value only describes), or "count" (a tally of items, which has no sampling error worth an interval).
    ``share_of``: 1 or 100 where the value is a share of items in this unit, so that its interval is one for shares;
    None otherwise. ``within``: the ends of what a correlation or an area can be, which its interval does not leave.
    ``shares``: where the value is a difference of two shares, these: its interval then counts that a share of nothing
    or all of the items has an error too.
    ``smooth`` is False where leaving out one cluster is no basis for an error: quantiles, thresholds that are
    estimated.
    """

    name: str
    estimate: Estimate | float
    group: str = "all"
    n_items: int = 0
    unbiased: float | None = None
    random: float | None = None
    higher_is: Direction = ""
    share_of: float | None = None
    smooth: bool = True
    within: tuple[float, float] | None = None
    shares: Shares | None = None

    def value(self, n: int) -> float:
        """The point estimate over a table of ``n`` rows."""
        return float(self.resampled(np.ones((1, n)))[0]) if self.sampled else float(cast(float, self.estimate))

    @property
    def sampled(self) -> bool:
        """Whether it has a sampling distribution over items."""
        return callable(self.estimate)

    @property
    def resampled(self) -> Estimate:
        """The estimate as a function of weights. TypeError for a plain number."""
        if not callable(self.estimate):
            raise TypeError(f"{self.name} is a plain number: it cannot be resampled")
        return self.estimate


@dataclass(frozen=True)
class Sums:
    """An estimate that is a function of weighted sums: ``finish(weights @ features)``.

    ``features`` is ``[n, k]``. Such estimates can be resampled from sums per cluster, so that a study of thousands of
    cells takes seconds.
    """

    features: Values
    finish: Callable[[Values], Values]

    def __call__(self, weights: Values) -> Values:
        """Values ``[B]`` for weights ``[B, n]``."""
        return self.of(np.asarray(weights, dtype=np.float64) @ self.features)

    def of(self, sums: Values) -> Values:
        """Values ``[B]`` for weighted sums ``[B, k]``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.finish(sums)


def weighted_mean(x: ArrayLike, mask: ArrayLike | None = None) -> Estimate:
    """Mean of ``x`` over the rows in ``mask``."""
    values, inside = _inside(x, mask)
    return Sums(np.column_stack([values, inside]), lambda s: s[:, 0] / s[:, 1])


def total(x: ArrayLike, mask: ArrayLike | None = None) -> Estimate:
    """Sum of ``x`` over the rows in ``mask``; of a boolean column, a count."""
    return Sums(_inside(x, mask)[0][:, None], lambda s: s[:, 0])


def ratio(numerator: ArrayLike, denominator: ArrayLike, mask: ArrayLike | None = None) -> Estimate:
    """Sum of ``numerator`` over sum of ``denominator``: pooled over items, not averaged."""
    above, below = _inside(numerator, mask)[0], _inside(denominator, mask)[0]
    return Sums(np.column_stack([above, below]), lambda s: s[:, 0] / s[:, 1])


def cluster_mean(x: ArrayLike, clusters: Sequence[object], mask: ArrayLike | None = None) -> Estimate:
    """Macro average: the mean over clusters of each cluster's mean of ``x``.

    A cluster drawn twice counts as two clusters. Clusters without a row in ``mask`` do not count.
    """
    values, inside = _inside(x, mask)
    codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
    share = inside / np.maximum(np.bincount(codes, weights=inside)[codes], 1.0)
    return Sums(np.column_stack([values * share, share]), lambda s: s[:, 0] / s[:, 1])


def standard_deviation(x: ArrayLike, mask: ArrayLike | None = None, ddof: int = 1) -> Estimate:
    """Standard deviation of ``x``; ``ddof`` as in NumPy."""
    values, inside = _inside(x, mask)
    centered = (values - _center(values, inside)) * inside
    # A variance below this is the rounding error of a constant.
    least = 1e-20 * float(np.max(np.abs(values), initial=0.0)) ** 2

    def finish(s: Values) -> Values:
        variance = _variance(s, ddof)
        return np.where(variance <= least, 0.0, np.sqrt(variance))

    return Sums(np.column_stack([centered**2, centered, inside]), finish)


def standardized_mean(x: ArrayLike, mask: ArrayLike | None = None) -> Estimate:
    """Mean divided by standard deviation (ddof 1): Cohen's d of paired differences; NaN if there is no variation."""
    return combine(_over, weighted_mean(x, mask), standard_deviation(x, mask))


def standardized_difference(x: ArrayLike, first: ArrayLike, second: ArrayLike) -> Estimate:
    """Mean over ``first`` minus mean over ``second``, divided by the standard deviation (ddof 1) in their union.

    The effect size of WEAT (Caliskan et al. 2017); ``first`` and ``second`` are boolean masks of any sizes.
    """
    union = np.asarray(first, dtype=bool) | np.asarray(second, dtype=bool)
    return combine(
        lambda one, other, sd: _over(one - other, sd),
        weighted_mean(x, first),
        weighted_mean(x, second),
        standard_deviation(x, union),
    )


def pearson(x: ArrayLike, y: ArrayLike, mask: ArrayLike | None = None) -> Estimate:
    """Pearson's correlation; NaN if either variable is constant."""
    (xs, inside), (ys, _) = _inside(x, mask), _inside(y, mask)
    a, b = (xs - _center(xs, inside)) * inside, (ys - _center(ys, inside)) * inside
    scale = np.array([np.sum(a**2), np.sum(b**2)])

    def finish(s: Values) -> Values:
        n = s[:, 0]
        va, vb = s[:, 3] - s[:, 1] ** 2 / n, s[:, 4] - s[:, 2] ** 2 / n
        constant = (va <= 1e-12 * scale[0]) | (vb <= 1e-12 * scale[1])
        return np.where(constant, np.nan, (s[:, 5] - s[:, 1] * s[:, 2] / n) / np.sqrt(va * vb))

    return Sums(np.column_stack([inside, a, b, a * a, b * b, a * b]), finish)


def spearman(x: ArrayLike, y: ArrayLike, mask: ArrayLike | None = None) -> Estimate:
    """Spearman's correlation with mid-ranks for ties, ranked again in every resample; NaN if a variable is constant."""
    (xs, inside), (ys, _) = _inside(x, mask), _inside(y, mask)
    rows = np.flatnonzero(inside)
    if np.isnan(xs[rows]).any() or np.isnan(ys[rows]).any():
        return lambda weights: np.full(len(weights), np.nan)
    # With rows sorted by x, only y's ranks have to be reordered.
    rows = rows[np.argsort(xs[rows], kind="stable")]
    ranks_of_x, ranks_of_y = _ranker(xs[rows]), _ranker(ys[rows])

    def estimate(weights: Values) -> Values:
        w = np.take(np.asarray(weights, dtype=np.float64), rows, axis=1)
        n = w.sum(axis=1, keepdims=True)
        # The mean mid-rank is (n + 1) / 2, with or without ties.
        a, b = ranks_of_x(w) - (n + 1) / 2, ranks_of_y(w) - (n + 1) / 2
        va, vb, both = (np.einsum("bn,bn,bn->b", w, *pair) for pair in ((a, a), (b, b), (a, b)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((va <= 0) | (vb <= 0), np.nan, both / np.sqrt(va * vb))

    return estimate


def quantile(x: ArrayLike, share: float, rows: Sequence[int] | NDArray[np.intp]) -> Estimate:
    """The smallest value of ``x`` that at least ``share`` of the values do not exceed; no interpolation.

    A row of the table may have any number of values: ``rows[i]`` is the one that ``x[i]`` belongs to. NaN where a value
    is NaN or a resample holds none.
    """
    values, owners = np.asarray(x, dtype=np.float64), np.asarray(rows, dtype=np.intp)
    if not len(values) or np.isnan(values).any():
        return lambda weights: np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    values, owners = values[order], owners[order]

    def estimate(weights: Values) -> Values:
        found = np.empty(len(weights))
        for start, stop in _blocks(len(weights), len(values)):
            below = np.cumsum(np.take(np.asarray(weights[start:stop], dtype=np.float64), owners, axis=1), axis=1)
            # Without the margin 0.99 of 400 could be a little more than 396.
            needed = share * below[:, -1:] - 1e-9 * np.maximum(below[:, -1:], 1.0)
            found[start:stop] = np.where(below[:, -1] > 0, values[(below < needed).sum(axis=1)], np.nan)
        return found

    return estimate


def combine(function: Callable[..., Values], *estimates: Estimate) -> Estimate:
    """An element-wise function of other estimates, e.g. ``combine(np.exp, weighted_mean(x))``."""
    linear = [each for each in estimates if isinstance(each, Sums)]
    if len(linear) == len(estimates):
        ends = np.cumsum([each.features.shape[1] for each in linear])[:-1]

        def finish(sums: Values) -> Values:
            parts = np.split(sums, ends, axis=1)
            return function(*(each.of(part) for each, part in zip(linear, parts, strict=True)))

        return Sums(np.concatenate([each.features for each in linear], axis=1), finish)
    return lambda weights: function(*(each(weights) for each in estimates))


def difference(first: Estimate, second: Estimate) -> Estimate:
    """``first`` minus ``second``."""
    return combine(np.subtract, first, second)


def bootstrap_counts(n_clusters: int, n_resamples: int, seed: int) -> NDArray[np.uint16]:
    """How often each cluster is drawn: ``[B, n_clusters]``, each row summing to ``n_clusters``.

    The first resamples are the same for every ``n_resamples``.
    """
    generator = np.random.default_rng(seed)
    counts = np.empty((n_resamples, n_clusters), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(generator.integers(n_clusters, size=n_clusters), minlength=n_clusters)
    return counts


def bootstrap_weights(clusters: Sequence[object], n_resamples: int, seed: int) -> Values:
    """Multiplicity ``[B, n]`` of each row when whole clusters are drawn with replacement.

    Clusters are numbered in the order of their names, so a row's weights do not depend on its position.
    """
    names, codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return bootstrap_counts(len(names), n_resamples, seed)[:, codes].astype(np.float64)


def resample(estimates: Sequence[Estimate], codes: NDArray[np.intp], counts: NDArray) -> Values:
    """Values ``[len(estimates), B]`` of estimates over one table under the same resamples.

    ``codes`` ``[n]`` is the cluster of each row, ``counts`` ``[B, n_clusters]`` from `bootstrap_counts`. Equal to
    calling each estimate with ``counts[:, codes]``.
    """
    result = np.empty((len(estimates), len(counts)))
    linear = {i: each for i, each in enumerate(estimates) if isinstance(each, Sums)}
    other = [i for i in range(len(estimates)) if i not in linear]
    if linear:
        features = np.concatenate([each.features for each in linear.values()], axis=1)
        per_cluster = _sum_by(features, codes, counts.shape[1])
        for start, stop in _blocks(len(counts), counts.shape[1]):
            sums = np.asarray(counts[start:stop], dtype=np.float64) @ per_cluster
            first = 0
            for i, each in linear.items():
                last = first + each.features.shape[1]
                result[i, start:stop] = each.of(sums[:, first:last])
                first = last
    for start, stop in _blocks(len(counts), len(codes)) if other else ():
        weights = np.take(np.asarray(counts[start:stop], dtype=np.float64), codes, axis=1)
        for i in other:
            result[i, start:stop] = estimates[i](weights)
    return result


def interval(estimates: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values ``[B]``; NaN if more than half of them are undefined."""
    values = np.asarray(estimates, dtype=np.float64)
    defined = values[~np.isnan(values)]
    if not len(defined) or 2 * len(defined) < len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_p(estimates: ArrayLike, baseline: ArrayLike) -> float:
    """Two-sided p-value that a statistic differs from the baseline's, from values ``[B]`` under the same resamples.

    Twice the smaller share of resamples in which the difference is not above, or not below, zero, with one added
    to counts so that p is never 0: no smaller than 2 / (B + 1). Equals the level at which the percentile interval
    of the difference first reaches zero. Differences within rounding error count as zero; if more than half of
    the differences are undefined, p is NaN.
    """
    one, other = np.asarray(estimates, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    change = one - other
    defined = ~np.isnan(change)
    if not defined.any() or 2 * defined.sum() < len(change):
        return float("nan")
    rounding = 1e-10 * np.maximum(np.abs(one[defined]), np.abs(other[defined]))
    change = change[defined]
    tail = min(np.sum(change <= rounding), np.sum(change >= -rounding))
    return float(min(1.0, 2 * (tail + 1) / (len(change) + 1)))


def adjust(p_values: ArrayLike) -> Values:
    """Benjamini–Hochberg (1995) adjusted p-values; NaN stays NaN and does not count as a test."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(-p[tested], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p[order] * len(order) / ranks))
    return adjusted


def _inside(x: ArrayLike, mask: ArrayLike | None) -> tuple[Values, Values]:
    """The values, 0 outside the mask, and the mask as 0 and 1."""
    values = np.asarray(x, dtype=np.float64)
    inside = np.ones(len(values), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    return np.where(inside, values, 0.0), inside.astype(np.float64)


def _center(values: Values, inside: Values) -> float:
    """The mean inside the mask; sums of squares around it are numerically stable."""
    return float(values.sum() / max(inside.sum(), 1.0))


def _over(values: Values, sd: Values) -> Values:
    return np.divide(values, sd, out=np.full(values.shape, np.nan), where=sd > 0)


def _variance(sums: Values, ddof: int) -> Values:
    squares, plain, n = sums[:, 0], sums[:, 1], sums[:, 2]
    return np.where(n > ddof, np.maximum(squares - plain**2 / n, 0.0) / (n - ddof), np.nan)


def _ranker(values: Values) -> Callable[[Values], Values]:
    """Maps weights ``[B, n]`` to the mid-rank of each row among the weighted rows."""
    distinct, codes = np.unique(values, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(distinct)))
    sorted_already, tie_free = bool((order == np.arange(len(order))).all()), len(distinct) == len(order)

    def ranks(weights: Values) -> Values:
        tied = weights if sorted_already else np.take(weights, order, axis=1)
        tied = tied if tie_free else np.add.reduceat(tied, starts, axis=1)
        found = np.cumsum(tied, axis=1) - tied / 2 + 0.5
        return found if sorted_already and tie_free else np.take(found, codes, axis=1)

    return ranks


def _sum_by(features: Values, codes: NDArray[np.intp], n: int) -> Values:
    """Rows of ``features`` summed per code: ``[n, k]``."""
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    sums = np.zeros((n, features.shape[1]))
    sums[present] = np.add.reduceat(features[order], starts, axis=0)
    return sums


def _blocks(rows: int, columns: int) -> list[tuple[int, int]]:
    step = max(1, _BLOCK // max(columns, 1))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]
