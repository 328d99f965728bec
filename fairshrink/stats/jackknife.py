"""Standard errors by the jackknife: of any function of weights, by leaving out one cluster of items after the other.

With ``n`` clusters divided into ``g`` groups of ``m_j`` clusters, ``h_j = n / m_j``, the value ``T`` of all and ``T_j``
without group ``j``, the pseudo-values are ``P_j = h_j T - (h_j - 1) T_j`` and

    V = 1/g * sum_j (P_j - P)**2 / (h_j - 1),    P = g T - sum_j (1 - m_j/n) T_j

(Busing, Meijer and van der Leeden 1999), which is the delete-one jackknife, ``(n-1)/n * sum (T_j - mean T)**2``,
where each cluster is its own group. The value is referred to Student's t with ``g - 1`` degrees of freedom.

*Groups.* The delete-one jackknife fails for statistics that are not smooth, such as shares of items above a threshold
that is itself estimated (Efron 1982, section 3.4); leaving out ``d`` clusters at a time is consistent for them (Shao
and Wu 1989). ``groups`` = 20 to 50 random groups do that.

*Two crossed columns* (templates and names, say): ``V = max(V1, V2, V1 + V2 - V12)`` with ``V12`` from leaving out
what two rows share in both columns (Cameron, Gelbach and Miller 2011), and the smaller of the two degrees of freedom.

*Strata.* Where a value is made from independent tables of items (a contrast of its own for the signal kept, two sets
of words), the variances of the strata are added, and the degrees of freedom are Satterthwaite's (1946).

Statistics must not depend on the scale of the weights: means, shares, slopes, not totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.stats.estimates import Estimate, Sums, Values
from fairshrink.stats.inference import Inference

GROUPS = 40
"""Groups of clusters for statistics that are not smooth: t(39) is 2.02, and a group holds several of a hundred
clusters."""

# Elements of a block of weights, so that memory stays bounded.
_BLOCK = 1 << 18

Column = Sequence[object] | NDArray
"""A label for each row of a table of items; rows with the same label belong together."""


@dataclass(frozen=True)
class _Deletions:
    """One way to leave rows out: ``codes`` [n] says with which deletion a row goes (-1: never)."""

    codes: NDArray[np.intp]
    fractions: Values
    """The share of its stratum's clusters that each deletion takes: ``1 / h_j`` [g]."""
    strata: NDArray[np.intp]


def jackknife(
    estimate: Estimate,
    *clusters: Column,
    groups: int | None = None,
    strata: Column | None = None,
    rows: ArrayLike | None = None,
    seed: int = 0,
) -> Inference:
    """A statistic with its standard error; ``clusters`` are one column or two crossed ones.

    ``groups``: leave out that many random groups of clusters instead of single clusters. ``rows``: boolean mask of
    the rows that the estimate reads, so that clusters without any do not count as information; found by itself for
    `Sums`.
    """
    (one,) = jackknife_jointly(estimate, *clusters, groups=groups, strata=strata, rows=rows, seed=seed)
    return one


def jackknife_jointly(
    estimate: Estimate,
    *clusters: Column,
    groups: int | None = None,
    strata: Column | None = None,
    rows: ArrayLike | None = None,
    seed: int = 0,
) -> tuple[Inference, ...]:
    """As `jackknife`, for an estimate with values ``[k, B]``: several statistics of the same deletions, in one pass."""
    if len(clusters) not in (1, 2):
        raise ValueError(f"one or two columns of clusters, not {len(clusters)}")
    columns = [_codes(each) for each in clusters]
    n = len(columns[0])
    read = _rows_read(estimate, n) if rows is None else np.asarray(rows, dtype=bool)
    stratum = np.zeros(n, dtype=np.intp) if strata is None else _codes(strata)
    if len(columns) == 2:
        columns.append(_codes(columns[0] * (int(columns[1].max(initial=0)) + 1) + columns[1]))
    value = _joint(estimate, np.ones((1, n)))[:, 0]
    variances, dfs = [], []
    for column in columns:
        deletions = _deletions(column, stratum, read, groups, seed)
        variance, df = _variance(value, _replicates(estimate, deletions), deletions)
        variances.append(variance)
        dfs.append(df)
    total, fewest = variances[0], dfs[0]
    if len(columns) == 3:
        both = variances[0] + variances[1] - variances[2]
        total = np.maximum(np.maximum(variances[0], variances[1]), both)
        fewest = np.minimum(dfs[0], dfs[1])
    errors = np.sqrt(total)
    return tuple(Inference(float(v), float(e), float(d)) for v, e, d in zip(value, errors, fewest, strict=True))


def influence(estimate: Estimate, column: Column) -> float:
    """The largest change of a statistic that leaving out one cluster makes; NaN below two clusters that it reads."""
    codes = _codes(column)
    deletions = _deletions(codes, np.zeros(len(codes), dtype=np.intp), _rows_read(estimate, len(codes)), None, 0)
    if len(deletions.fractions) < 2:
        return float("nan")
    value = _joint(estimate, np.ones((1, len(codes))))
    return float(np.abs(_replicates(estimate, deletions) - value).max())


def _joint(estimate: Estimate, weights: Values) -> Values:
    return np.atleast_2d(estimate(weights))


def _codes(column: Column) -> NDArray[np.intp]:
    labels = np.asarray(column)
    if labels.dtype.kind not in "iub":
        labels = labels.astype(str)
    return np.unique(labels, return_inverse=True)[1]


def _rows_read(estimate: Estimate, n: int) -> NDArray[np.bool_]:
    return (estimate.features != 0).any(axis=1) if isinstance(estimate, Sums) else np.ones(n, dtype=bool)


def _deletions(
    column: NDArray[np.intp], stratum: NDArray[np.intp], read: NDArray[np.bool_], groups: int | None, seed: int
) -> _Deletions:
    """Clusters with a row that is read, dealt into groups inside each stratum."""
    names, first, inverse = np.unique(column[read], return_index=True, return_inverse=True)
    home = stratum[read][first]
    if (home[inverse] != stratum[read]).any():
        raise ValueError("a cluster must lie in one stratum")
    generator = np.random.default_rng(seed)
    group = np.empty(len(names), dtype=np.intp)
    fractions: list[Values] = []
    strata: list[NDArray[np.intp]] = []
    for s in np.unique(home):
        members = np.flatnonzero(home == s)
        g = len(members) if groups is None else min(groups, len(members))
        # Without groups the order is that of the names: nothing is drawn.
        dealt = np.arange(len(members)) if g == len(members) else generator.permutation(len(members)) % g
        group[members] = dealt + sum(len(each) for each in fractions)
        fractions.append(np.bincount(dealt, minlength=g) / len(members))
        strata.append(np.full(g, s, dtype=np.intp))
    codes = np.full(len(column), -1, dtype=np.intp)
    codes[read] = group[inverse]
    return _Deletions(codes, np.concatenate([*fractions, []]), np.concatenate([*strata, np.empty(0, dtype=np.intp)]))


def _replicates(estimate: Estimate, deletions: _Deletions) -> Values:
    """Values ``[k, g]`` without each deletion."""
    g, codes = len(deletions.fractions), deletions.codes
    if isinstance(estimate, Sums):
        inside = codes >= 0
        columns = [np.bincount(codes[inside], weights=each[inside], minlength=g) for each in estimate.features.T]
        per_deletion = np.column_stack(columns) if columns else np.zeros((g, 0))
        return np.atleast_2d(estimate.of(estimate.features.sum(axis=0) - per_deletion))
    step = max(1, _BLOCK // max(len(codes), 1))
    blocks = [np.arange(start, min(start + step, g)) for start in range(0, max(g, 1), step)]
    parts = [_joint(estimate, (codes != each[:, None]).astype(np.float64)) for each in blocks]
    return np.concatenate(parts, axis=1)


def _variance(value: Values, replicates: Values, deletions: _Deletions) -> tuple[Values, Values]:
    """Variance and degrees of freedom ``[k]``."""
    total, squares, fewest = np.zeros(len(value)), np.zeros(len(value)), np.inf
    for s in np.unique(deletions.strata):
        inside = deletions.strata == s
        g, fraction = int(inside.sum()), deletions.fractions[inside]
        if g < 2:
            return np.full(len(value), np.nan), np.full(len(value), np.nan)
        h = 1 / fraction
        pseudo = h * value[:, None] - (h - 1) * replicates[:, inside]
        center = g * value - ((1 - fraction) * replicates[:, inside]).sum(axis=1)
        part = ((pseudo - center[:, None]) ** 2 / (h - 1)).mean(axis=1)
        total += part
        squares += part**2 / (g - 1)
        fewest = min(fewest, g - 1)
    if not len(deletions.strata):
        return np.full(len(value), np.nan), np.full(len(value), np.nan)
    if len(np.unique(deletions.strata)) == 1:
        return total, np.full(len(value), float(fewest))
    with np.errstate(divide="ignore", invalid="ignore"):
        return total, np.where(squares > 0, total**2 / squares, float(fewest))
