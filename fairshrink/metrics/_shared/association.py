"""Association tests over embeddings: what WEAT and SEAT share.

``s(w) = mean over a in A of cos(w, a) - mean over b in B of cos(w, b)`` says whether a target ``w`` is nearer to the
attributes A or B. The effect size compares the targets X and Y:
``d = (mean over X of s - mean over Y of s) / sd over X and Y of s`` (ddof 1), after Caliskan et al. (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairshrink.contracts import ModelTraits, Pooling
from fairshrink.errors import UserError
from fairshrink.resources import json_file
from fairshrink.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models.checkpoint import Checkpoint


class AssociationSettings(Settings):
    """Settings that WEAT and SEAT share."""

    pooling: Pooling | None = Field(
        None,
        description="embedding of a text: `mean` over its tokens without the special ones, `cls` the first position, "
        "`last` the last token, `mean_all` the mean with special tokens; unless given, `mean` for encoders and "
        "`last` for causal models",
    )
    permutations: int = Field(
        20_000,
        ge=10_000,
        le=1_000_000,
        description="all splits of the targets are evaluated if there are no more than this, otherwise this many "
        "are drawn at random",
    )
    seed: int = Field(0, ge=0, description="seed of the random permutations")


@dataclass(frozen=True)
class Target:
    """A text to embed and the word that it is about."""

    word: str
    text: str


@dataclass(frozen=True)
class AssociationTest:
    """Targets X and Y, attributes A and B; X is associated with A by the stereotype."""

    name: str
    x: tuple[Target, ...]
    y: tuple[Target, ...]
    a: tuple[Target, ...]
    b: tuple[Target, ...]


def published() -> dict[str, Any]:
    """The tests by number, the neutral ones apart, and the lists of words that they are made of, as published."""
    return json_file(__file__, "weat.json")


def neutral_tests() -> tuple[str, ...]:
    """Numbers of the tests that concern no people: flowers and insects, instruments and weapons."""
    return tuple(published()["neutral"])


def read_tests(prefix: str, numbers: Iterable[str], texts: Callable[[str], Sequence[str]]) -> list[AssociationTest]:
    """The tests by number, e.g. "5b"; ``texts`` gives the texts in which a word is embedded."""
    file = published()
    every = file["tests"] | file["neutral"]

    def targets(number: str, part: str) -> tuple[Target, ...]:
        words = file["lists"][every[number][part]]["words"]
        return tuple(Target(word, text) for word in words for text in texts(word))

    return [
        AssociationTest(f"{prefix}{number}", *(targets(number, part) for part in ("X", "Y", "A", "B")))
        for number in numbers
    ]


def associations(chosen: list[AssociationTest], embed: Callable[[list[str]], NDArray]) -> pd.DataFrame:
    """One row per test and target text: item, cluster (the word), group (the test), set (X or Y), text, association.

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
                        "item": [f"{test.name}/{side}/{word}/{k:02d}" for word, k in zip(words, ordinals, strict=True)],
                        "cluster": words,
                        "group": test.name,
                        "set": side,
                        "text": [target.text for target in targets],
                        "association": rows_of(targets) @ direction,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True).sort_values("item", ignore_index=True)


def pooling_of(cp: Checkpoint, settings: AssociationSettings) -> Pooling:
    """The pooling that is used; UserError if the requested one does not fit the model."""
    causal = cp.head == "causal_lm"
    if causal and settings.pooling == "cls":
        raise UserError(
            "pooling: cls does not fit a causal model, whose first position sees nothing of the text. "
            "Write `pooling: last` in the metric's settings, or leave it out."
        )
    return settings.pooling or ("last" if causal else "mean")


def unsuited_pooling(settings: AssociationSettings, model: ModelTraits) -> list[tuple[str, str, str]]:
    """What `pooling_of` would refuse, before a model is loaded."""
    if model.head != "causal_lm" or settings.pooling != "cls":
        return []
    reason = "cls does not fit a causal model, whose first position sees nothing of the text"
    return [("pooling", reason, "`pooling: last`")]


def embedder(cp: Checkpoint, settings: AssociationSettings, before: str = "") -> Callable[[list[str]], NDArray]:
    """Maps texts, each after ``before``, to embeddings as the settings say."""
    from fairshrink.models.inference.outputs import sentence_embeddings

    pooling = pooling_of(cp, settings)
    return lambda texts: sentence_embeddings(cp, [before + text for text in texts], pooling)


def prefix_of_single_word(cp: Checkpoint) -> str:
    """The text that has to precede a single word so that it is tokenized and embedded as inside a sentence.

    A space, for byte-level vocabularies. For causal models whose tokenizer adds no start token, also that token: they
    use the first position as an attention sink, where words have cosines of 0.99 whatever they mean.
    """
    return start_text(cp) + (" " if "ByteLevel" in str(cp.tokenizer.backend_tokenizer.pre_tokenizer) else "")


def start_text(cp: Checkpoint) -> str:
    """The start token of a causal model whose tokenizer does not add it, as text; "" for other models."""
    from fairshrink.models.inference.batching import token_ids
    from fairshrink.models.inference.sequences import start_token

    if cp.head != "causal_lm":
        return ""
    start = start_token(cp.tokenizer)
    adds_it = token_ids(cp, "a")[0] == start
    return "" if adds_it else str(cp.tokenizer.convert_ids_to_tokens(start))


def _ordinals(targets: tuple[Target, ...]) -> list[int]:
    seen: dict[str, int] = {}
    ordinals = []
    for target in targets:
        ordinals.append(seen.get(target.word, 0))
        seen[target.word] = ordinals[-1] + 1
    return ordinals
