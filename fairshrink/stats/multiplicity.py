"""Many tests at once: the false discovery rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values (Benjamini and Hochberg 1995); a p of 0 stays 0, a NaN stays NaN and does not count as a test.

    ValueError for values outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        from scipy import stats  # takes longer to import than most of what is there

        # scipy propagates NaN to every test, so that they are kept from it.
        adjusted[tested] = stats.false_discovery_control(p[tested], method="bh")
    return adjusted
