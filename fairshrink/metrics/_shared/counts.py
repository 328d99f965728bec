"""How many items a metric skipped and how many tied, reported by all metrics in the same two rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.stats.estimates import Statistic

if TYPE_CHECKING:
    import pandas as pd

SAME = 1e-6
"""Cosines and predictions are accurate to about 1e-7 in fp32: where they differ by less than this they are equal."""


def counts(scored: NDArray[np.bool_], tied: ArrayLike) -> list[Statistic]:
    """`skipped` of all items, and `tied` of those that are ``scored``: their ``n_items`` say of how many.

    So the items scored are the ``n_items`` of `tied`, and with those skipped they are all items.
    """
    n = int(scored.sum())
    skipped, both = len(scored) - n, int((scored & np.asarray(tied, dtype=bool)).sum())
    return [
        Statistic("skipped", skipped, n_items=len(scored), higher_is="count"),
        Statistic("tied", both, n_items=n, higher_is="count"),
    ]


def scored_rows(items: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows of a table with the column ``skipped`` have a score."""
    return np.asarray((items["skipped"] == "").to_numpy())


def every_row(items: pd.DataFrame) -> NDArray[np.bool_]:
    """All rows: for metrics that skip nothing."""
    return np.ones(len(items), dtype=bool)
