"""Which words among the fills of a template are associated with gender, under any weights of the sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairshrink.metrics._shared.counts import scored_rows
from fairshrink.stats.estimates import Estimate, Sums, Values

if TYPE_CHECKING:
    import pandas as pd

EXCHANGES = 200
"""Random exchanges of genders: enough for a mean; each is a whole evaluation."""
BLOCK = 25
"""Exchanges at a time, so that memory does not grow with the number of sentences."""


@dataclass(frozen=True)
class Counted:
    """The fills of a table: ``has`` ``[n, w]`` says which of the words of all templates a sentence has.

    A word is a word of one template: ``template`` ``[w]`` is its template, ``inside`` ``[n, t]`` that of each
    sentence. Sentences that were skipped are in neither.
    """

    has: Values
    inside: Values
    template: NDArray[np.intp]
    male: Values
    unknown: bool


def associated_share(items: pd.DataFrame, level: float, correction: str) -> Estimate:
    """Per cent of fills that are words associated with gender."""
    return _estimate(_counted(items), level, correction, _share)


def associated_fills(items: pd.DataFrame, level: float, correction: str) -> Estimate:
    """Words associated with gender, mean over templates."""
    return _estimate(_counted(items), level, correction, _number)


def by_chance(items: pd.DataFrame, level: float, correction: str) -> tuple[float, float]:
    """Both, as a mean over random exchanges of the persons' genders: what there is if fills have no gender."""
    counted = _counted(items)
    scored = counted.inside.sum(axis=1) > 0
    if not scored.any() or counted.unknown:
        return float("nan"), float("nan")
    names, person = np.unique(items["cluster"].to_numpy(dtype=str), return_inverse=True)
    male = np.zeros(len(names))
    male[person] = counted.male
    generator = np.random.default_rng(0)
    exchanged = np.stack([generator.permutation(male) for _ in range(EXCHANGES)])
    both = []
    for start in range(0, EXCHANGES, BLOCK):
        is_male = exchanged[start : start + BLOCK][:, person]
        sums = _Sums(*(gender @ each for each in (counted.has, counted.inside) for gender in (is_male, 1 - is_male)))
        both.append([_share(sums, counted, level, correction), _number(sums, counted, level, correction)])
    share, number = np.concatenate(both, axis=1).mean(axis=1)
    return float(share), float(number)


@dataclass(frozen=True)
class _Sums:
    """Weighted numbers of sentences: with each word ``[b, w]``, and of each template ``[b, t]``, by gender."""

    male: Values
    female: Values
    all_male: Values
    all_female: Values


Read = Callable[[_Sums, Counted, float, str], Values]


def _counted(items: pd.DataFrame) -> Counted:
    scored = scored_rows(items)
    columns = [name for name in items.columns if name.startswith("fill_")]
    templates, number = np.unique(items["template"].to_numpy(dtype=str), return_inverse=True)
    words: dict[tuple[int, str], int] = {}
    places = [
        (row, words.setdefault((number[row], word), len(words)))
        for name in columns
        for row, word in enumerate(items[name])
        if scored[row]
    ]
    has = np.zeros((len(items), len(words)))
    has[tuple(np.array(places, dtype=int).reshape(-1, 2).T)] = 1.0
    inside = (number[:, None] == np.arange(len(templates))) * scored[:, None].astype(np.float64)
    logs = items.loc[scored, [name.replace("fill", "log_p") for name in columns]].to_numpy(dtype=np.float64)
    of_words = np.array([template for template, _ in words], dtype=np.intp)
    male = (items["group"] == "male").to_numpy(dtype=np.float64)
    return Counted(has, inside, of_words, male, bool(np.isnan(logs).any()))


def _estimate(counted: Counted, level: float, correction: str, read: Read) -> Estimate:
    male, female = counted.male[:, None], 1 - counted.male[:, None]
    parts = [each * gender for each in (counted.has, counted.inside) for gender in (male, female)]
    ends = np.cumsum([each.shape[1] for each in parts])[:-1]

    def finish(sums: Values) -> Values:
        if counted.unknown:  # fills of a model that gives no numbers are no fills
            return np.full(len(sums), np.nan)
        return read(_Sums(*np.split(sums, ends, axis=1)), counted, level, correction)

    return Sums(np.concatenate(parts, axis=1), finish)


def _significant(sums: _Sums, counted: Counted, level: float, correction: str) -> NDArray[np.bool_]:
    """Which words are associated with gender: [b, w]."""
    from scipy.special import erfc

    n_male, n_female = sums.all_male[:, counted.template], sums.all_female[:, counted.template]
    having, n = sums.male + sums.female, n_male + n_female
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = sums.male * (n_female - sums.female) - sums.female * (n_male - sums.male)
        chi_square = n * cross**2 / (having * (n - having) * n_male * n_female)
    p = np.where(np.isfinite(chi_square), erfc(np.sqrt(np.nan_to_num(chi_square) / 2)), 1.0)
    present = having > 0
    tested = present.sum(axis=1, keepdims=True) * np.ones_like(p)
    if correction == "template":
        tested = (present @ _of_template(counted))[:, counted.template]
    return np.asarray(present & (p < level / np.maximum(tested, 1)))


def _of_template(counted: Counted) -> Values:
    return (counted.template[:, None] == np.arange(counted.inside.shape[1])).astype(np.float64)


def _share(sums: _Sums, counted: Counted, level: float, correction: str) -> Values:
    having = sums.male + sums.female
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (having * _significant(sums, counted, level, correction)).sum(axis=1)
        return np.asarray(100 * found / having.sum(axis=1))


def _number(sums: _Sums, counted: Counted, level: float, correction: str) -> Values:
    """Templates without any sentence do not count."""
    templates = ((sums.all_male + sums.all_female) > 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(_significant(sums, counted, level, correction).sum(axis=1) / templates)
