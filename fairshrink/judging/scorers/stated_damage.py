"""A damage that is stated as a number: how far a model's outputs are from its baseline's, measured elsewhere.

Any measure that grows with the second power of the disturbance will do, if it is the same for all models that are
compared: mean Kullback-Leibler divergence of next-token distributions on neutral text, for example, which llama.cpp's
`perplexity --kl-divergence` prints. It says which controls a compression is compared with, and nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairshrink.contracts import MetricKind
from fairshrink.settings import Settings as Settings
from fairshrink.stats.estimates import Statistic, weighted_mean

if TYPE_CHECKING:
    import pandas as pd

KIND: MetricKind = "damage"
HEADLINE = ("damage", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)


def table(damage: float) -> pd.DataFrame:
    """The table of a stated damage: one item, so that it has no error of its own. ValueError for a negative number."""
    import pandas as pd

    if not 0 <= damage < math.inf:
        raise ValueError("a damage is a finite number of at least 0")
    return pd.DataFrame({"item": ["stated"], "cluster": ["stated"], "group": ["all"], "damage": [float(damage)]})


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """The damage."""
    return [Statistic("damage", weighted_mean(items["damage"]), n_items=len(items), unbiased=0.0)]
