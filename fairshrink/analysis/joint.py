"""Statistics of the checkpoints of several splits over one table of items, so that one jackknife serves them all.

Splits share most items (the benchmark's) and may have some of their own (held-out items of the task). The joint table
has each item once; a split's estimate reads its rows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairshrink.stats.estimates import Estimate, Sums
from fairshrink.stats.jackknife import GROUPS
from fairshrink.stats.splits import OverSplits, over_splits


@dataclass(frozen=True)
class Joint:
    """The items of several splits, each once: ``rows[split]`` are the joint rows of its items.

    ``clusters`` are one or two columns of integer labels over the joint rows.
    """

    n: int
    rows: tuple[NDArray[np.intp], ...]
    clusters: tuple[NDArray[np.intp], ...]


def join(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> Joint:
    """Join tables of items by ``item``; ``columns`` are the clusters'."""
    first = tables[0]["item"].to_numpy()
    if all(np.array_equal(each["item"].to_numpy(), first) for each in tables[1:]):
        rows = (np.arange(len(first)),) * len(tables)
        whole = tables[0]
    else:
        whole = pd.concat(tables, ignore_index=True).drop_duplicates("item").sort_values("item", ignore_index=True)
        at = pd.Series(np.arange(len(whole)), index=whole["item"])
        rows = tuple(at[each["item"]].to_numpy() for each in tables)
    codes = tuple(np.unique(whole[each].to_numpy(dtype=str), return_inverse=True)[1] for each in columns)
    return Joint(len(whole), rows, codes)


def measure(
    joint: Joint,
    estimates: Sequence[Estimate],
    *,
    smooth: bool = True,
    strata: NDArray[np.intp] | None = None,
    read: NDArray[np.bool_] | None = None,
) -> list[OverSplits]:
    """One statistic, or ``k`` statistics, of each split, with the mean over splits; one estimate for each split.

    ``strata`` and ``read`` are over the joint rows, as in `stats.jackknife`; clusters of different strata are
    different clusters.
    """
    spread = [over_joint(each, rows, joint.n) for each, rows in zip(estimates, joint.rows, strict=True)]
    columns = joint.clusters
    if strata is not None:
        columns = tuple(each * (int(strata.max(initial=0)) + 1) + strata for each in columns)
    return over_splits(spread, *columns, groups=None if smooth else GROUPS, strata=strata, rows=read)


def over_joint(estimate: Estimate, rows: NDArray[np.intp], n: int) -> Estimate:
    """The estimate over one split's table as one over the joint table."""
    if len(rows) == n and (rows == np.arange(n)).all():
        return estimate
    if isinstance(estimate, Sums):
        features = np.zeros((n, estimate.features.shape[1]))
        features[rows] = estimate.features
        return Sums(features, estimate.finish)
    return lambda weights: estimate(weights[:, rows])
