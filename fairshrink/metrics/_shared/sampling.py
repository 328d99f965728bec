"""Draw a representative part of a benchmark (stratified sampling)."""

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

    A group's share is kept to within one item, a cluster's to within a few. The sample depends on the seed and on the
    items' names, not on their order, and a larger sample contains a smaller one. All items if ``size`` is None or at
    least their number.
    """
    n = len(names)
    if size is None or size >= n:
        return list(range(n))
    generator = np.random.default_rng(seed)
    by_name = sorted(range(n), key=lambda i: names[i])
    in_cluster = _positions(by_name, list(zip(groups, clusters, strict=True)), generator)
    in_group = _positions(sorted(by_name, key=lambda i: in_cluster[i]), groups, generator, shuffle=False)
    return sorted(sorted(by_name, key=lambda i: in_group[i])[:size])


def _positions(
    order: Iterable[int], strata: Sequence[Any], generator: np.random.Generator, shuffle: bool = True
) -> NDArray[np.float64]:
    """Positions in [0, 1) of the members of each stratum: evenly spaced from a random start."""
    members = defaultdict(list)
    for index in order:
        members[strata[index]].append(index)
    positions = np.empty(len(strata))
    for stratum in sorted(members):
        rows = members[stratum]
        ranks = generator.permutation(len(rows)) if shuffle else np.arange(len(rows))
        positions[rows] = (ranks + generator.random()) / len(rows)
    return positions
