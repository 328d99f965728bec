"""Does the bias change, or does a model only keep less of its signal? The null of a pure loss of signal, by reflection.

Each item has a *signal* ``s`` that is linear in what the model says (a difference of log-probabilities, of
predictions), and ``B`` is a statistic of signals. The *signal kept* ``K`` is the slope of the checkpoint's values on
the baseline's in a contrast of items that bias does not touch. If compression only loses signal, ``s_c = K s_b +
noise``; where the noise is symmetric, the reflected signal ``2 K s_b - s_c`` has the distribution of ``s_c``, so that

    N = 1/2 [B(s_c) + B(2 K s_b - s_c)]      the null matched in signal,
    R = B(s_c) - N                           the residual: what the loss of signal does not explain,
    D = B(s_c) - B(s_b) = (N - B(s_b)) + R   the change, in these two parts.

For a ``B`` that is linear in the signal the noise cancels whatever its shape, and ``N = K B(s_b)``. With an intercept
``a`` the signal is reflected about ``a + K s_b``. If ``K`` is fitted with an intercept to the very signal whose mean is
``B``, R is 0 by construction: least squares leave no mean residual. Then only statistics that are not linear, such as
shares, can show a residual.

*Symmetry.* A difference between two members of a pair that compression treats alike has symmetric noise however
skewed that of a member is. Where the signal is no such difference (a logit against a constant) skewed noise is taken
for a change of shares. The null ``shuffled`` does not need symmetry: it adds to ``a + K s_b`` the errors ``s_c - a -
K s_b`` of other items, less their mean, ``N = mean_{ij} B(a + K s_b_i + e_j)`` over random pairs. It needs errors
that do not depend on the item instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.stats.estimates import Estimate, Sums, Values, combine
from fairshrink.stats.inference import Inference
from fairshrink.stats.jackknife import GROUPS, Column, jackknife_jointly

Functional = Callable[[Values, Values], Values]
"""A statistic of signals: from signals ``[B, n]`` (or ``[1, n]``) and weights ``[B, n]`` to values ``[B]``."""


Null = Literal["reflection", "shuffled"]
"""What stands for the noise: its mirror image, or the errors of other items."""

SHUFFLES = 16
"""Random pairings of signals with other items' errors; more would narrow the interval by less than a tenth."""


@dataclass(frozen=True)
class Linear:
    """A functional that is linear in the signal: the sum over terms ``t`` of weighted ``sum(a_t s) / sum(q_t)``.

    ``above`` and ``below`` are the factors ``a`` and ``q``, ``[n, t]``.
    """

    above: Values
    below: Values

    def __call__(self, signals: Values, weights: Values) -> Values:
        """Values ``[B]``."""
        return _ratios((weights * self.read(signals)) @ self.above, weights @ self.below)

    def read(self, signals: Values) -> Values:
        """The signals with those that do not count set to 0, whatever they are."""
        return np.where((self.above != 0).any(axis=1), signals, 0.0)


@dataclass(frozen=True)
class Decomposition:
    """A change of bias in its parts, each with the standard error that counts the estimation of K."""

    baseline: Inference
    checkpoint: Inference
    kept: Inference
    intercept: Inference
    null: Inference
    explained: Inference
    """N - B_b: what the loss of signal explains."""
    residual: Inference
    change: Inference


def mean(mask: ArrayLike) -> Linear:
    """The mean signal over the rows in ``mask``."""
    inside = np.asarray(mask, dtype=np.float64)[:, None]
    return Linear(inside, inside)


def mean_difference(first: ArrayLike, second: ArrayLike) -> Linear:
    """Mean over ``first`` less mean over ``second``."""
    one, other = (np.asarray(each, dtype=np.float64) for each in (first, second))
    return Linear(np.column_stack([one, -other]), np.column_stack([one, other]))


def mean_of(transform: Callable[[Values], Values], mask: ArrayLike) -> Functional:
    """The mean over the rows in ``mask`` of a function of each signal, such as the probability of a logit."""
    inside = np.asarray(mask, dtype=np.float64)

    def mean_transformed(signals: Values, weights: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(inside > 0, transform(np.where(inside > 0, signals, 0.0)), 0.0)
            return (weights * values) @ inside / (weights @ inside)

    return mean_transformed


def mean_over(functionals: Sequence[Functional]) -> Functional:
    """The mean of several functionals of the same signals; NaN where one of them is."""
    return lambda signals, weights: np.mean([each(signals, weights) for each in functionals], axis=0)


def macro_mean(clusters: Column, mask: ArrayLike) -> Linear:
    """The mean over clusters of the mean signal in each; a cluster drawn twice counts twice."""
    share = _shares(clusters, mask)[:, None]
    return Linear(share, share)


def share_above(mask: ArrayLike, clusters: Column | None = None, unit: float = 1.0) -> Functional:
    """Share of rows with a signal above 0, of the rows in ``mask``; ``unit=100`` for percent. A tie is not above.

    With ``clusters`` the mean over clusters of the share in each.
    """
    inside = np.asarray(mask, dtype=np.float64) if clusters is None else _shares(clusters, mask)

    def share(signals: Values, weights: Values) -> Values:
        # A signal that is unknown makes the share unknown, not smaller.
        above = np.where(np.isnan(signals) & (inside > 0), np.nan, signals > 0) * unit
        with np.errstate(divide="ignore", invalid="ignore"):
            return (weights * above) @ inside / (weights @ inside)

    return share


def effect_size(first: ArrayLike, second: ArrayLike, least: float = 0.0) -> Functional:
    """WEAT's d (Caliskan et al. 2017): difference of means over the standard deviation (ddof 1) in the union.

    NaN where that standard deviation is not above ``least``.
    """
    one, other = (np.asarray(each, dtype=np.float64) for each in (first, second))
    union = np.maximum(one, other)

    def size(signals: Values, weights: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            n, signals = weights @ union, np.where(union > 0, signals, 0.0)
            center = ((weights * signals) @ union / n)[:, None]
            weighted = weights * (signals - center)
            variance = (weighted * (signals - center)) @ union / (n - 1)
            gap = weighted @ one / (weights @ one) - weighted @ other / (weights @ other)
            return np.where(variance > least**2, gap / np.sqrt(variance), np.nan)

    return size


def effect_size_within(first: ArrayLike, second: ArrayLike) -> Functional:
    """Difference of means over the pooled standard deviation inside the two sets (Cohen's d).

    Rises with WEAT's d, which cannot pass 2 and has too short intervals for sets of few words: inference is made on
    this one, and `intervals.effect_size_interval` brings it back.
    """
    one, other = (np.asarray(each, dtype=np.float64) for each in (first, second))
    union = np.maximum(one, other)

    def size(signals: Values, weights: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            signals = np.where(union > 0, signals, 0.0)
            n_one, n_other = weights @ one, weights @ other
            m_one, m_other = (weights * signals) @ one / n_one, (weights * signals) @ other / n_other
            inside = signals - m_one[:, None] * one - m_other[:, None] * other
            variance = (weights * inside**2) @ union / (n_one + n_other - 2)
            return np.where(variance > 0, (m_one - m_other) / np.sqrt(variance), np.nan)

    return size


def as_estimate(functional: Functional, signal: ArrayLike) -> Estimate:
    """The functional of one signal ``[n]`` as an estimate; `Sums` where it is linear."""
    values = np.asarray(signal, dtype=np.float64)
    if isinstance(functional, Linear):
        terms = functional.above.shape[1]
        features = np.column_stack([functional.read(values)[:, None] * functional.above, functional.below])
        return Sums(features, lambda sums: _ratios(sums[:, :terms], sums[:, terms:]))
    return lambda weights: functional(values[None, :], np.asarray(weights, dtype=np.float64))


def line(baseline: ArrayLike, checkpoint: ArrayLike, mask: ArrayLike | None = None, *, intercept: bool) -> Sums:
    """Slope and intercept ``[2, B]`` of the checkpoint's values on the baseline's: the signal kept.

    Without ``intercept`` the line goes through 0, where no signal means the same for both. NaN where the baseline's
    values do not vary (with an intercept) or are all 0.
    """
    x, y, inside = _pair(baseline, checkpoint, mask)
    # Sums of squares about the means of the whole table do not cancel.
    middle = [float(v.sum() / max(inside.sum(), 1.0)) if intercept else 0.0 for v in (x, y)]
    a, b = (x - middle[0]) * inside, (y - middle[1]) * inside
    least = 1e-12 * float(np.sum(a * a))

    def finish(s: Values) -> Values:
        if not intercept:
            slope = np.where(s[:, 1] > least, s[:, 0] / s[:, 1], np.nan)
            return np.stack([slope, np.where(np.isnan(slope), np.nan, 0.0)])
        n = s[:, 4]
        square = s[:, 1] - s[:, 2] ** 2 / n
        slope = np.where(square > least, (s[:, 0] - s[:, 2] * s[:, 3] / n) / square, np.nan)
        return np.stack([slope, middle[1] + s[:, 3] / n - slope * (middle[0] + s[:, 2] / n)])

    plain = [a * b, a * a]
    return Sums(np.column_stack([*plain, a, b, inside] if intercept else plain), finish)


def line_within(baseline: ArrayLike, checkpoint: ArrayLike, sets: Column, mask: ArrayLike | None = None) -> Sums:
    """Slope ``[2, B]`` inside sets, each with its own level; the second value, the intercept, is 0.

    For tests of association without neutral items: the slope of words inside a set says how much signal is kept, and
    the differences between sets, which are the bias, do not enter.
    """
    x, y, inside = _pair(baseline, checkpoint, mask)
    codes = np.unique(np.asarray(sets, dtype=str), return_inverse=True)[1]
    member = (codes[:, None] == np.arange(codes.max(initial=0) + 1)) * inside[:, None]
    counts = np.maximum(member.sum(axis=0), 1.0)
    a, b = ((v - (member @ (member.T @ v / counts))) * inside for v in (x, y))
    least, k = 1e-12 * float(np.sum(a * a)), member.shape[1]

    def finish(s: Values) -> Values:
        n, of_a, of_b = s[:, 2 : 2 + k], s[:, 2 + k : 2 + 2 * k], s[:, 2 + 2 * k :]
        per = np.divide(1.0, n, out=np.zeros_like(n), where=n > 0)
        square = s[:, 1] - (of_a**2 * per).sum(axis=1)
        slope = np.where(square > least, (s[:, 0] - (of_a * of_b * per).sum(axis=1)) / square, np.nan)
        return np.stack([slope, np.where(np.isnan(slope), np.nan, 0.0)])

    return Sums(np.column_stack([a * b, a * a, member, a[:, None] * member, b[:, None] * member]), finish)


def parts(
    functional: Functional,
    baseline: ArrayLike,
    checkpoint: ArrayLike,
    kept: Sums,
    *,
    null: Null = "reflection",
    mask: ArrayLike | None = None,
) -> Estimate:
    """All parts of a `Decomposition`, in its order, as one estimate with values ``[8, B]``.

    ``baseline`` and ``checkpoint`` are signals ``[n]``, of the rows in ``mask``; ``kept`` is a `line` over the same
    table, of the same or of other rows. `Sums` where the functional is linear: both nulls are then the same.
    """
    carrying = np.ones(len(np.asarray(baseline)), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    s_b, s_c = (np.where(carrying, np.asarray(each, dtype=np.float64), 0.0) for each in (baseline, checkpoint))
    if isinstance(functional, Linear):
        ones = np.ones(len(s_b))
        inside = [as_estimate(functional, each) for each in (s_b, s_c, ones)]
        return combine(lambda b, c, one, fit: _stack(b, c, fit, fit[0] * b + fit[1] * one), *inside, kept)

    rounding = 1e-11 * float(np.nanmax(np.abs(np.concatenate([s_b, s_c])), initial=0.0))
    orders = _orders(carrying, SHUFFLES) if null == "shuffled" else []

    def estimate(weights: Values) -> Values:
        w = np.asarray(weights, dtype=np.float64)
        fit = kept(w)
        center = fit[1][:, None] + fit[0][:, None] * s_b
        # A signal that the null gives exactly is its own mirror image: a tie must not become more or less than one.
        center = np.where(np.abs(s_c - center) <= rounding, s_c, center)
        before, after = functional(s_b[None, :], w), functional(s_c[None, :], w)
        if null == "reflection":
            return _stack(before, after, fit, (after + functional(2 * center - s_c, w)) / 2)
        counted = w * carrying
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = s_c - center
            errors = errors - ((counted * errors).sum(axis=1) / counted.sum(axis=1))[:, None]
        without, moved = functional(center, w), np.zeros(len(w))
        for order in orders:
            # A pair of a signal and another row's error is there as often as both rows are. What errors add is averaged
            # over pairs, and their absence counted in full: so pairs that were not drawn add little variance.
            paired = w * w[:, order]
            moved += functional(center + errors[:, order], paired) - functional(center, paired)
        return _stack(before, after, fit, without + moved / len(orders))

    return estimate


def decompose(
    functional: Functional,
    baseline: ArrayLike,
    checkpoint: ArrayLike,
    kept: Sums,
    *clusters: Column,
    groups: int | None = GROUPS,
    strata: Column | None = None,
    rows: ArrayLike | None = None,
    seed: int = 0,
    null: Null = "reflection",
    mask: ArrayLike | None = None,
) -> Decomposition:
    """The change of ``functional`` from baseline to checkpoint in its parts, by one jackknife over ``clusters``.

    A linear functional is smooth: single clusters are left out, and ``groups`` counts only for the others. Where
    ``kept`` reads rows of its own, ``strata`` names the two parts of the table, and ``mask`` the rows that carry the
    signal. ``rows`` as in `jackknife`.
    """
    estimate = parts(functional, baseline, checkpoint, kept, null=null, mask=mask)
    smooth = isinstance(functional, Linear)
    left_out = None if smooth else groups
    return Decomposition(*jackknife_jointly(estimate, *clusters, groups=left_out, strata=strata, rows=rows, seed=seed))


def _stack(before: Values, after: Values, fit: Values, null: Values) -> Values:
    residual = after - null
    # What rounding leaves of a null that holds exactly is no residual.
    residual = np.where(np.abs(residual) <= 1e-10 * np.maximum(np.abs(after), np.abs(null)), 0.0, residual)
    return np.stack([before, after, fit[0], fit[1], null, null - before, residual, after - before])


def _orders(carrying: NDArray[np.bool_], count: int) -> list[NDArray[np.intp]]:
    """Random permutations of the rows in the mask among themselves."""
    generator, rows = np.random.default_rng(0), np.flatnonzero(carrying)
    orders = [np.arange(len(carrying)) for _ in range(count)]
    for order in orders:
        order[rows] = generator.permutation(rows)
    return orders


def _ratios(above: Values, below: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (above / below).sum(axis=1)


def _shares(clusters: Column, mask: ArrayLike) -> Values:
    """What each row contributes to the mean of its cluster."""
    inside = np.asarray(mask, dtype=np.float64)
    codes = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]
    return inside / np.maximum(np.bincount(codes, weights=inside)[codes], 1.0)


def _pair(x: ArrayLike, y: ArrayLike, mask: ArrayLike | None) -> tuple[Values, Values, Values]:
    one, other = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    inside: NDArray[np.bool_] = np.ones(len(one), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    return np.where(inside, one, 0.0), np.where(inside, other, 0.0), inside.astype(np.float64)
