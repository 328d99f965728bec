"""From checkpoints to training: means over splits, and a cell against the control seeds of its damage.

The error over items answers for *these* checkpoints. A statement about training in general needs splits that show how
much training alone moves: three at least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.stats.estimates import Estimate, Values, combine
from fairshrink.stats.inference import UNKNOWN, Inference, combined_df
from fairshrink.stats.jackknife import Column, jackknife_jointly

LEAST_SPLITS = 3
"""With two splits t(1) is 12.7: an interval that says nothing."""


@dataclass(frozen=True)
class OverSplits:
    """One statistic of the checkpoints of several splits, scored on the same items."""

    splits: tuple[Inference, ...]
    checkpoints: Inference
    """The mean over splits with its error over items: about these checkpoints."""
    training: Inference
    """The same mean as a statement about training in general."""


def over_splits(
    estimates: Sequence[Estimate],
    *clusters: Column,
    groups: int | None = None,
    strata: Column | None = None,
    rows: ArrayLike | None = None,
    seed: int = 0,
) -> list[OverSplits]:
    """One jackknife for the estimates of all splits over one table of items.

    Each estimate gives ``[B]`` or ``[k, B]`` values; the result has one entry for each of the ``k``. Options as in
    `jackknife`.
    """
    m = len(estimates)

    def stacked(*values: Values) -> Values:
        each = np.stack([np.atleast_2d(one) for one in values])
        # Not -1: where an estimate reads no row there are no deletions, and 0 values have no shape to infer.
        flat = each.reshape(each.shape[0] * each.shape[1], each.shape[2])
        return np.concatenate([flat, each.mean(axis=0)])

    joint = combine(stacked, *estimates)
    found = jackknife_jointly(joint, *clusters, groups=groups, strata=strata, rows=rows, seed=seed)
    k = len(found) // (m + 1)
    made = []
    for i in range(k):
        splits, checkpoints = found[i : m * k : k], found[m * k + i]
        made.append(OverSplits(splits, checkpoints, split_random(splits, checkpoints)))
    return made


def split_random(splits: Sequence[Inference], mean: Inference) -> Inference:
    """The mean over splits as an estimate for training in general: items and splits are both drawn.

    With the sample variance ``s**2`` of the ``m`` splits and ``c`` the mean covariance between two splits, which
    share their items,

        V = s**2 / m + c,    c = (m V(mean) - mean V(split)) / (m - 1), at least 0,

    and degrees of freedom between ``m - 1`` and those of the items (`combined_df`). ``splits`` and ``mean`` carry their
    errors over items. Without an error below three splits.
    """
    m = len(splits)
    if m < LEAST_SPLITS:
        return Inference(mean.value, math.nan, math.nan)
    between = float(np.var([each.value for each in splits], ddof=1)) / m
    single = float(np.mean([each.standard_error**2 for each in splits]))
    shared = max(0.0, (m * mean.standard_error**2 - single) / (m - 1))
    if math.isnan(between + single + mean.standard_error):
        return Inference(mean.value, math.nan, math.nan)
    df = combined_df(between, m - 1.0, shared, mean.df)
    return Inference(mean.value, math.sqrt(between + shared), df)


def against_controls(value: float, controls: ArrayLike, splits: int = 1) -> Inference:
    """How far a cell, a mean over ``splits``, is from what control seeds of the same damage give.

    The value less the controls' mean, with the error of a prediction ``s * sqrt(1/m + 1/n)`` and t(n - 1): the
    interval contains 0 where the cell could be one more control. NaN controls are left out; without an error where
    fewer than two are left.
    """
    seeds = _defined(controls)
    n = len(seeds)
    if n < 2 or math.isnan(value):
        return UNKNOWN
    return Inference(value - float(seeds.mean()), float(seeds.std(ddof=1)) * math.sqrt(1 / splits + 1 / n), n - 1.0)


def prediction_interval(controls: ArrayLike, splits: int = 1, level: float = 0.95) -> tuple[float, float]:
    """Where a mean over ``splits`` more controls falls at this level."""
    seeds = _defined(controls)
    if not len(seeds):
        return math.nan, math.nan
    center = float(seeds.mean())
    # A difference of 0 from the controls' mean, moved there.
    low, high = against_controls(center, seeds, splits).interval(level)
    return center + low, center + high


def _defined(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]
