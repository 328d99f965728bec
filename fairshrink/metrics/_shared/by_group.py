"""A mean over all items and over each group, and how far each group is from all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.stats.estimates import Shares, Statistic, difference, weighted_mean


def means_by_group(
    name: str, values: ArrayLike, groups: Sequence[str], scored: NDArray[np.bool_], **about: Any
) -> list[Statistic]:
    """The mean over the ``scored`` rows, and over those of each group; ``about`` goes into each `Statistic`."""
    return [
        Statistic(name, weighted_mean(values, mask), group, int(mask.sum()), **about)
        for group, mask in _masks(groups, scored).items()
    ]


def gaps(
    name: str, values: ArrayLike, groups: Sequence[str], scored: NDArray[np.bool_], answers: int | None = None
) -> list[Statistic]:
    """The mean over each group less that over all others together; none where there is one group.

    ``answers``: where the values are shares, how many answers of an item they are shares of.
    """
    masks = _masks(groups, scored)
    named = [each for each in masks if each != "all"]
    found = []
    for each in named if len(named) > 1 else ():
        sides = weighted_mean(values, masks[each]), weighted_mean(values, scored & ~masks[each])
        shares = None if answers is None else Shares(*sides, "shared", answers=answers)
        found.append(Statistic(name, difference(*sides), each, int(scored.sum()), 0.0, 0.0, shares=shares))
    return found


def _masks(groups: Sequence[str], scored: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    column = np.asarray(groups, dtype=str)
    return {"all": scored} | {each: scored & (column == each) for each in sorted(set(column.tolist()))}
