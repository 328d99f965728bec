"""Association tests over embeddings: what WEAT and SEAT have in common.

``s(w) = mean over a in A of cos(w, a) - mean over b in B of cos(w, b)`` says whether a target ``w`` is nearer to the
attributes A or B. The effect size compares the targets X and Y:
``d = (mean over X of s - mean over Y of s) / sd over X and Y of s`` (ddof 1), after Caliskan et al. (2017).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import combinations
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairshrink.errors import UserError
from fairshrink.settings import Settings
from fairshrink.statistics import (
    Estimate,
    Statistic,
    Values,
    combine,
    standard_deviation,
    weighted_mean,
)

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models import Checkpoint

Number = Literal["3", "3b", "4", "5", "5b", "6", "6b", "7", "7b", "8", "8b", "9", "10"]

# Cosines are right to about 1e-7 in fp32: what varies less than this does not vary.
_NO_SPREAD = 1e-6


class AssociationSettings(Settings):
    """Settings that WEAT and SEAT share."""

    pooling: Literal["mean", "cls", "last", "mean_all"] = Field(
        "mean",
        description="embedding of a text: mean over its tokens without the special ones, `cls` the first position "
        "(encoders), `last` the last token (causal models), `mean_all` mean with the special tokens",
    )
    permutations: int = Field(
        20_000,
        ge=10_000,
        le=1_000_000,
        description="all splits of the targets are gone through where there are no more than this, otherwise so many "
        "are drawn at random",
    )
    seed: int = Field(0, ge=0, description="of the drawn permutations")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic of the model")


@dataclass(frozen=True)
class Target:
    """A text to embed and the word that it is about."""

    word: str
    text: str


@dataclass(frozen=True)
class AssociationTest:
    """Targets X and Y, attributes A and B; X goes with A where a model follows the stereotype."""

    name: str
    x: tuple[Target, ...]
    y: tuple[Target, ...]
    a: tuple[Target, ...]
    b: tuple[Target, ...]


@cache
def stimuli(name: str) -> dict:
    """A file of ``fairshrink/stimuli/``, read."""
    return json.loads((Path(__file__).parent / "stimuli" / name).read_text(encoding="utf-8"))


def tests(prefix: str, numbers: Iterable[str], texts: Callable[[str], Sequence[str]]) -> list[AssociationTest]:
    """The tests by number, e.g. "5b"; ``texts`` gives the texts in which a word is embedded."""
    file = stimuli("weat.json")

    def targets(number: str, part: str) -> tuple[Target, ...]:
        words = file["lists"][file["tests"][number][part]]["words"]
        return tuple(Target(word, text) for word in words for text in texts(word))

    return [
        AssociationTest(f"{prefix}{number}", *(targets(number, part) for part in ("X", "Y", "A", "B")))
        for number in numbers
    ]


def associations(chosen: list[AssociationTest], embed: Callable[[list[str]], NDArray]) -> pd.DataFrame:
    """One row per test and target text: item, cluster (the word), group (the test), set ("X" or "Y"), text, association.

    ``embed`` maps texts to vectors ``[n, dim]``; each text is embedded once. A vector of length zero gives NaN.
    """
    import pandas as pd

    parts = [test.x + test.y + test.a + test.b for test in chosen]
    texts = sorted({target.text for part in parts for target in part})
    vectors = np.asarray(embed(texts), dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    row_of = {text: row for row, text in enumerate(texts)}

    def rows_of(targets: tuple[Target, ...]) -> NDArray:
        return vectors[[row_of[target.text] for target in targets]]

    frames = []
    for test in chosen:
        # The mean of cosines is the product with the mean unit vector.
        direction = rows_of(test.a).mean(axis=0) - rows_of(test.b).mean(axis=0)
        for side, targets in (("X", test.x), ("Y", test.y)):
            words, ordinals = [target.word for target in targets], _ordinals(targets)
            frames.append(
                pd.DataFrame(
                    {
                        "item": [
                            f"{test.name}/{side}/{word}/{k:02d}" for word, k in zip(words, ordinals, strict=True)
                        ],
                        "cluster": words,
                        "group": test.name,
                        "set": side,
                        "text": [target.text for target in targets],
                        "association": rows_of(targets) @ direction,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True).sort_values("item", ignore_index=True)


def embedder(cp: Checkpoint, settings: AssociationSettings) -> Callable[[list[str]], NDArray]:
    """Maps texts to embeddings as the settings say; UserError where the pooling does not fit the model."""
    from fairshrink.inference import sentence_embeddings

    causal = cp.head == "causal_lm"
    if causal and settings.pooling == "cls":
        raise UserError(
            "pooling: cls does not fit a causal model, whose first position sees nothing of the text. "
            "Write `pooling: last` or `pooling: mean` in the metric's settings."
        )
    exact = replace(cp, precision=settings.precision)
    return lambda texts: sentence_embeddings(exact, texts, pooling=settings.pooling)


def word_prefix(cp: Checkpoint) -> str:
    """What makes a lone word the token that it is inside a sentence: a space for byte-level vocabularies, else ""."""
    return " " if "ByteLevel" in str(cp.tokenizer.backend_tokenizer.pre_tokenizer) else ""


def summaries(items: pd.DataFrame, settings: AssociationSettings) -> list[Statistic]:
    """Statistics of the rows of `associations`, per test, per dimension (gender, race, …) and over all tests."""
    prefix_free = items["group"].str.removeprefix("weat").str.removeprefix("seat")
    dimension_of = {number: entry["dimension"] for number, entry in stimuli("weat.json")["tests"].items()}
    found: list[Statistic] = []
    effects: dict[str, list[tuple[Estimate, int]]] = {}
    for name in dict.fromkeys(items["group"]):
        inside = (items["group"] == name).to_numpy()
        in_x = inside & (items["set"] == "X").to_numpy()
        effect = effect_size(items["association"], in_x, inside & ~in_x)
        dimension = dimension_of[prefix_free[inside].iloc[0]]
        for group in ("all", dimension):
            effects.setdefault(group, []).append((effect, int(inside.sum())))
        found += [
            Statistic("effect_size", effect, name, int(inside.sum()), unbiased=0.0),
            Statistic("permutation_p", _p_estimate(items[inside], settings), name, int(inside.sum())),
            Statistic(
                "association_spread",
                standard_deviation(items["association"], inside),
                name,
                int(inside.sum()),
            ),
        ]
    for group, members in effects.items():
        estimates, n = [estimate for estimate, _ in members], sum(count for _, count in members)
        mean = combine(lambda *d: np.mean(d, axis=0), *estimates)
        size = combine(lambda *d: np.mean(np.abs(d), axis=0), *estimates)
        found += [
            Statistic("mean_effect_size", mean, group, n, unbiased=0.0),
            Statistic("mean_absolute_effect_size", size, group, n, unbiased=0.0, higher_is="more_biased"),
        ]
    return found


def effect_size(association: Iterable[float], in_x: NDArray[np.bool_], in_y: NDArray[np.bool_]) -> Estimate:
    """The effect size d; NaN where the associations do not vary, as those of an encoder that ignores its input."""
    values = np.asarray(association, dtype=np.float64)
    return combine(
        lambda x, y, sd: np.where(sd > _NO_SPREAD, (x - y) / sd, np.nan),
        weighted_mean(values, in_x),
        weighted_mean(values, in_y),
        standard_deviation(values, in_x | in_y),
    )


def permutation_p(
    association: NDArray, in_x: NDArray[np.bool_], words: Sequence[str], permutations: int, seed: int
) -> float:
    """One-sided p of ``mean over X of s - mean over Y of s`` when whole words change sides.

    The sentences of one word are no independent draws, so words are permuted, not sentences; for single words this is
    the test of Caliskan et al. (2017). Exact where there are at most ``permutations`` splits (the observed one
    included), else (1 + hits) / (1 + draws). Ties count as hits, so p is never 0. NaN where s has a NaN or does
    not vary.
    """
    if np.isnan(association).any() or np.std(association, ddof=1) <= _NO_SPREAD:
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
    """Indicator rows ``[splits, n]`` of which words are in X, and whether these are all splits there are."""
    exact = comb(n, n_x) <= permutations
    if exact:
        chosen = np.array(list(combinations(range(n), n_x)))
    else:
        order = np.random.default_rng(seed).random((permutations, n))
        chosen = np.argsort(order, axis=1)[:, :n_x]
    splits = np.zeros((len(chosen), n))
    np.put_along_axis(splits, chosen, 1.0, axis=1)
    return splits, exact


def _p_estimate(rows: pd.DataFrame, settings: AssociationSettings) -> Estimate:
    """p of the whole sample; NaN for resamples, whose repeated words are not exchangeable."""

    @cache
    def p() -> float:
        return permutation_p(
            rows["association"].to_numpy(dtype=np.float64),
            (rows["set"] == "X").to_numpy(),
            list(rows["cluster"]),
            settings.permutations,
            settings.seed,
        )

    return lambda weights: np.where(np.all(weights == 1, axis=1), p(), np.nan)


def _ordinals(targets: tuple[Target, ...]) -> list[int]:
    seen: dict[str, int] = {}
    ordinals = []
    for target in targets:
        ordinals.append(seen.get(target.word, 0))
        seen[target.word] = ordinals[-1] + 1
    return ordinals
