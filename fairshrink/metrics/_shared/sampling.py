"""Draw a part of a benchmark so that it looks like the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def spread_sample(
    names: Sequence[str], groups: Sequence[str], clusters: Sequence[str], size: int | None, seed: int
) -> list[int]:
    """Indices, ascending, of ``size`` items in which each group, and each cluster in it, keeps its share.

    A group's share is kept to within one item, a cluster's to within a few. The draw depends on the seed and on what
    the items are called, not on their order, and a larger draw contains a smaller one. All items where ``size`` is
    None or no less than their number.
    """
    n = len(names)
    if size is None or size >= n:
        return list(range(n))
    generator = np.random.default_rng(seed)
    by_name = sorted(range(n), key=lambda i: names[i])
    in_cluster = _places(by_name, list(zip(groups, clusters, strict=True)), generator)
    in_group = _places(sorted(by_name, key=lambda i: in_cluster[i]), groups, generator, shuffle=False)
    return sorted(sorted(by_name, key=lambda i: in_group[i])[:size])


def _places(
    order: Iterable[int], strata: Sequence[Any], generator: np.random.Generator, shuffle: bool = True
) -> NDArray[np.float64]:
    """Places in [0, 1) of the members of each stratum: evenly spaced from a random start."""
    members = defaultdict(list)
    for index in order:
        members[strata[index]].append(index)
    places = np.empty(len(strata))
    for stratum in sorted(members):
        rows = members[stratum]
        ranks = generator.permutation(len(rows)) if shuffle else np.arange(len(rows))
        places[rows] = (ranks + generator.random()) / len(rows)
    return places
