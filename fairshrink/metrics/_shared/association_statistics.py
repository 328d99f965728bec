"""Effect sizes, permutation tests and signals from the rows of `fairshrink.metrics._shared.association`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from fairshrink.metrics._shared.association import AssociationSettings, neutral_tests, published
from fairshrink.metrics._shared.counts import SAME, counts, every_row
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Estimate, Statistic, Sums, Values, combine, standard_deviation, weighted_mean
from fairshrink.stats.magnitude import debiased_mean_square, jackknife_variance
from fairshrink.stats.signals import Contrast, Signal

if TYPE_CHECKING:
    import pandas as pd


def summaries(items: pd.DataFrame, settings: AssociationSettings) -> list[Statistic]:
    """Statistics of the rows of `associations`, per test, per dimension (gender, race, …) and over all tests of bias.

    Neutral tests have statistics of their own, and no part in those over tests. A test that is none of the published
    ones is one of bias, of no dimension.
    """
    dimension_of = {number: entry["dimension"] for number, entry in published()["tests"].items()}
    words = items["cluster"].to_numpy()
    found: list[Statistic] = []
    effects: dict[str, list[tuple[Estimate, Estimate, int]]] = {}
    for name, in_x, in_y in _sets(items):
        inside, n = in_x | in_y, int((in_x | in_y).sum())
        effect, neutral = effect_size(items["association"], in_x, in_y), _number(name) in neutral_tests()
        dimension = dimension_of.get(_number(name))
        for group in () if neutral else ("all", dimension) if dimension else ("all",):
            effects.setdefault(group, []).append((effect, jackknife_variance(effect, words), n))
        spread = standard_deviation(items["association"], inside)
        found += [
            Statistic("effect_size", effect, name, n, unbiased=None if neutral else 0.0),
            Statistic("permutation_p", _p(items[inside], settings), name, n),
            Statistic("association_spread", spread, name, n),
        ]
    for group, members in effects.items():
        estimates, n = [estimate for estimate, _, _ in members], sum(count for _, _, count in members)
        mean = combine(lambda *d: np.mean(d, axis=0), *estimates)
        size = combine(lambda *d: np.mean(np.abs(d), axis=0), *estimates)
        square = debiased_mean_square([(estimate, variance) for estimate, variance, _ in members])
        found += [
            Statistic("mean_effect_size", mean, group, n, unbiased=0.0),
            Statistic("mean_absolute_effect_size", size, group, n, 0.0, higher_is="more_biased", smooth=False),
            Statistic("debiased_mean_square", square, group, n, 0.0, higher_is="more_biased"),
        ]
    return [*found, *counts(every_row(items), items["association"].abs() <= SAME)]


def association_signal(items: pd.DataFrame) -> Signal | None:
    """Associations of the tests of bias, whose functional is the mean effect size; those of neutral tests as contrast.

    None for a table of neutral tests alone.
    """
    neutral = np.isin([_number(name) for name in items["group"]], neutral_tests())
    association = items["association"].to_numpy(dtype=np.float64)
    of_bias = [each for each in _sets(items) if _number(each[0]) not in neutral_tests()]
    if not of_bias:
        return None
    return Signal(
        np.where(neutral, np.nan, association),
        reflection.mean_over([reflection.effect_size(in_x, in_y, SAME) for _, in_x, in_y in of_bias]),
        (Contrast("neutral_associations", np.where(neutral, association, np.nan), fits_intercept=True),),
    )


def _sets(items: pd.DataFrame) -> list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Name of each test, and which rows are its targets X and Y."""
    group, side = items["group"].to_numpy(), items["set"].to_numpy()
    return [
        (str(name), np.asarray((group == name) & (side == "X")), np.asarray((group == name) & (side == "Y")))
        for name in dict.fromkeys(group)
    ]


def _number(name: str) -> str:
    return name.removeprefix("weat").removeprefix("seat")


def effect_size(association: Iterable[float], in_x: NDArray[np.bool_], in_y: NDArray[np.bool_]) -> Sums:
    """The effect size d; NaN if the associations do not vary, like those of an encoder that ignores its input."""
    values = np.asarray(association, dtype=np.float64)
    found = combine(
        lambda x, y, sd: np.where(sd > SAME, (x - y) / sd, np.nan),
        weighted_mean(values, in_x),
        weighted_mean(values, in_y),
        standard_deviation(values, in_x | in_y),
    )
    return cast(Sums, found)


def permutation_p(
    association: NDArray, in_x: NDArray[np.bool_], words: Sequence[str], permutations: int, seed: int
) -> float:
    """One-sided p of ``mean over X of s - mean over Y of s`` when whole words change sides.

    The sentences of one word are not independent, so words are permuted, not sentences; for single words this is
    the test of Caliskan et al. (2017). Exact where there are at most ``permutations`` splits (the observed one
    included), else (1 + hits) / (1 + draws). Ties count as hits, so p is never 0. NaN where s has a NaN or does
    not vary.
    """
    if np.isnan(association).any() or np.std(association, ddof=1) <= SAME:
        return float("nan")
    codes = np.unique(np.asarray(words, dtype=str), return_inverse=True)[1]
    sums, counts = np.bincount(codes, weights=association), np.bincount(codes).astype(np.float64)
    word_in_x = np.bincount(codes, weights=in_x) > 0
    n, n_x = len(sums), int(word_in_x.sum())
    splits, exact = _splits(n, n_x, permutations, seed)

    def contrast(sides: NDArray) -> NDArray:
        above, size = sides @ sums, sides @ counts
        return above / size - (sums.sum() - above) / (counts.sum() - size)

    observed = contrast(word_in_x[None].astype(np.float64))[0]
    hits = int(np.sum(contrast(splits) >= observed - 1e-12 * np.abs(sums).max()))
    return hits / len(splits) if exact else (1 + hits) / (1 + len(splits))


@lru_cache(maxsize=16)
def _splits(n: int, n_x: int, permutations: int, seed: int) -> tuple[Values, bool]:
    """Indicator rows ``[splits, n]`` of which words are in X, and whether these are all possible splits."""
    exact = comb(n, n_x) <= permutations
    if exact:
        chosen = np.array(list(combinations(range(n), n_x)))
    else:
        order = np.random.default_rng(seed).random((permutations, n))
        chosen = np.argsort(order, axis=1)[:, :n_x]
    splits = np.zeros((len(chosen), n))
    np.put_along_axis(splits, chosen, 1.0, axis=1)
    return splits, exact


def _p(rows: pd.DataFrame, settings: AssociationSettings) -> float:
    return permutation_p(
        rows["association"].to_numpy(dtype=np.float64),
        (rows["set"] == "X").to_numpy(),
        list(rows["cluster"]),
        settings.permutations,
        settings.seed,
    )
