"""How likely a language model finds certain words of a text, given the rest of it: by their characters.

A masked LM gets all pieces of these words masked at once, and others that are hidden as well; the score is the sum of
the log-probabilities of the pieces. A causal LM gives the words' pieces given what is to their left, or the whole text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Query,
    TokenizedText,
    after_start,
    log_probabilities,
    mask_id,
    overlap,
    tokenize,
    too_long,
)
from fairshrink.metrics._shared.outcomes import Skipped, score_or_skip

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

UNKNOWN = "a word is unknown to the vocabulary"
Span = tuple[int, int]


@dataclass(frozen=True)
class Marked:
    """A text, the characters of the words that are scored, and of those that are hidden from a masked LM besides."""

    text: str
    words: tuple[Span, ...]
    hidden: tuple[Span, ...] = ()


def marked(template: str, **words: str) -> tuple[str, dict[str, Span]]:
    """A template with its ``{slots}`` filled, and the characters of each word in it."""
    text, spans, rest = "", {}, template
    while "{" in rest:
        before, _, rest = rest.partition("{")
        slot, _, rest = rest.partition("}")
        text += before
        spans[slot] = (len(text), len(text) + len(words[slot]))
        text += words[slot]
    return text + rest, spans


def word_scores(cp: Checkpoint, texts: Sequence[Marked], *, whole: bool = False) -> list[float | Skipped]:
    """For each text the log-probability of its words, or why there is none.

    ``whole``: of all tokens of the text, where the model is causal.
    """
    tokens = tokenize(cp, [each.text for each in texts])
    if cp.head == "masked_lm":
        queries = [_masked(cp, each, text) for each, text in zip(tokens, texts, strict=True)]
        return score_or_skip(queries, lambda groups: [float(each.sum()) for each in log_probabilities(cp, groups)])
    places = [_causal(cp, each, text, whole) for each, text in zip(tokens, texts, strict=True)]
    return score_or_skip(places, lambda chosen: _causal_sums(cp, chosen))


def scored_tokens(cp: Checkpoint, texts: Sequence[Marked], *, whole: bool = False) -> list[int]:
    """How many log-probabilities the score of each text is a sum of: a model that knows nothing prefers few."""
    tokens = tokenize(cp, [each.text for each in texts])
    if whole and cp.head != "masked_lm":
        return [each.special.count(0) for each in tokens]
    return [len(_pieces(each, text.text, text.words)) for each, text in zip(tokens, texts, strict=True)]


def shorter_share(tokens: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """For each pair 100 where the first score is a sum of fewer tokens, 0 where of more, 50 where of as many.

    How often a model with random weights scores the first higher, in per cent.
    """
    return 50.0 * (1.0 - np.sign(np.asarray(tokens, dtype=np.float64) - np.asarray(others, dtype=np.float64)))


def _pieces(tokens: TokenizedText, text: str, spans: Sequence[Span]) -> list[int]:
    """Positions of tokens that belong to these characters, or to the space before them."""
    wide = [(len(text[:start].rstrip()), stop) for start, stop in spans]
    return [
        i
        for i, (span, special) in enumerate(zip(tokens.spans, tokens.special, strict=True))
        if not special and any(overlap(span, each) for each in wide)
    ]


def _masked(cp: Checkpoint, tokens: TokenizedText, text: Marked) -> list[Query] | Skipped:
    words, hidden = (_pieces(tokens, text.text, spans) for spans in (text.words, text.hidden))
    fault = _fault(cp, tokens, words, 0)
    if fault:
        return fault
    mask, covered = mask_id(cp), {*words, *hidden}
    sequence = [mask if i in covered else token for i, token in enumerate(tokens.ids)]
    return [Query(sequence, i, tokens.ids[i]) for i in words]


def _causal(cp: Checkpoint, tokens: TokenizedText, text: Marked, whole: bool) -> tuple[list[int], list[int]] | Skipped:
    """Ids after the start token, and the numbers of those that count."""
    words = _pieces(tokens, text.text, text.words)
    fault = _fault(cp, tokens, words, 1)
    if fault:
        return fault
    real = [i for i, special in enumerate(tokens.special) if not special]
    return after_start(cp, tokens), [at for at, i in enumerate(real) if whole or i in set(words)]


def _fault(cp: Checkpoint, tokens: TokenizedText, words: list[int], more: int) -> Skipped | None:
    if too_long(cp, tokens, more):
        return Skipped(TOO_LONG)
    unknown = not words or cp.tokenizer.unk_token_id in [tokens.ids[i] for i in words]
    return Skipped(UNKNOWN) if unknown else None


def _causal_sums(cp: Checkpoint, chosen: list[tuple[list[int], list[int]]]) -> list[float]:
    from fairshrink.models.inference.log_probs import causal_log_probs

    unique = list({tuple(ids): None for ids, _ in chosen})
    found = dict(zip(unique, causal_log_probs(cp, unique), strict=True))
    return [float(found[tuple(ids)][places].sum()) for ids, places in chosen]
