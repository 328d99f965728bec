"""How much a model likes each way of filling a StereoSet gap, by kind of model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError
from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Query,
    TokenizedText,
    after_start,
    log_probabilities,
    mask_id,
    tie_exact_mean,
    tokenize,
    too_long,
)
from fairshrink.metrics._shared.outcomes import Skipped, score_or_skip
from fairshrink.metrics.stereoset.contexts import LABELS, Context, fillers
from fairshrink.models.classes import label_index

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

METHODS = {"masked_lm": "masked", "causal_lm": "causal", "classification": "entailment"}

# Below the logarithm of every positive number, so that a probability of 0 stays the smallest.
_LOG_ZERO = -746.0

Scores = NDArray[np.float64]
R = TypeVar("R")


def filler_scores(cp: Checkpoint, contexts: Sequence[Context]) -> list[Scores | Skipped]:
    """For each context the scores ``[3]`` of its fillers in the order of ``LABELS``, or why it cannot be scored."""
    kinds: dict[str, _Kind[Any]] = {
        "masked": _Kind(_masked_requests, _masked_scores),
        "causal": _Kind(_causal_requests, _causal_scores),
        "entailment": _Kind(_entailment_requests, _entailment_scores),
    }
    if cp.head not in METHODS:
        raise UserError(f"stereoset: needs a language model or a model of natural language inference, not {cp.head!r}")
    kind = kinds[METHODS[cp.head]]
    filled = [fillers(context) for context in contexts]
    open_ = [(context, words) for context, words in zip(contexts, filled, strict=True) if not isinstance(words, str)]
    requests = kind.requests(cp, [context for context, _ in open_], [words for _, words in open_])
    triples = iter([requests[at : at + len(LABELS)] for at in range(0, len(requests), len(LABELS))])
    prepared = [Skipped(words) if isinstance(words, str) else _complete(next(triples)) for words in filled]

    def scored(chosen: list[list[Any]]) -> list[Scores]:
        values = kind.scores(cp, [request for triple in chosen for request in triple]) if chosen else []
        return list(np.asarray(values, dtype=np.float64).reshape(-1, len(LABELS)))

    return score_or_skip(prepared, scored)


@dataclass(frozen=True)
class _Kind(Generic[R]):
    """How one kind of model scores: a request, or why there is none, for each filler; then a score for each request."""

    requests: Callable[[Checkpoint, list[Context], list[tuple[str, ...]]], list[R | Skipped]]
    scores: Callable[[Checkpoint, list[R]], Sequence[float] | Scores]


def _complete(triple: list[R | Skipped]) -> list[R] | Skipped:
    """The requests of a context, or the first reason why one of them cannot be made."""
    made = [each for each in triple if not isinstance(each, Skipped)]
    return made if len(made) == len(triple) else next(each for each in triple if isinstance(each, Skipped))


def _masked_requests(
    cp: Checkpoint, contexts: list[Context], filled: list[tuple[str, ...]]
) -> list[list[Query] | Skipped]:
    texts, spans = [], []
    for context, words in zip(contexts, filled, strict=True):
        before, after = context.parts
        texts += [before + word + after for word in words]
        # A byte-level vocabulary may have the space before a word as a separate piece, which belongs to the filler.
        spans += [(len(before.rstrip()), len(before) + len(word)) for word in words]
    return [_queries(cp, *each) for each in zip(tokenize(cp, texts), spans, strict=True)]


def _queries(cp: Checkpoint, tokens: TokenizedText, characters: tuple[int, int]) -> list[Query] | Skipped:
    """One query for each sub-token of the filler at these characters; sub-tokens to its right are left out."""
    inside = [i for i, span in enumerate(tokens.spans) if _overlap(span, characters)]
    pieces = [tokens.ids[i] for i in inside]
    if not pieces or cp.tokenizer.unk_token_id in pieces:
        return Skipped("a filler is unknown to the vocabulary")
    if too_long(cp, tokens):
        return Skipped(TOO_LONG)
    before, after, mask = tokens.ids[: inside[0]], tokens.ids[inside[-1] + 1 :], mask_id(cp)
    return [
        Query([*before, *pieces[:step], mask, *after], len(before) + step, piece) for step, piece in enumerate(pieces)
    ]


def _overlap(span: tuple[int, int], characters: tuple[int, int]) -> bool:
    """Whether a piece overlaps a range of characters; the span of a single space may be trimmed to nothing."""
    start, stop = span
    return max(start, characters[0]) < min(stop, characters[1]) or (
        start == stop and characters[0] < start < characters[1]
    )


def _masked_scores(cp: Checkpoint, requests: list[list[Query]]) -> list[float]:
    return [tie_exact_mean(np.exp(each)) for each in log_probabilities(cp, requests)]


def _causal_requests(
    cp: Checkpoint, contexts: list[Context], filled: list[tuple[str, ...]]
) -> list[list[int] | Skipped]:
    tokens = tokenize(cp, [sentence for context in contexts for sentence in context.sentences])
    return [Skipped(TOO_LONG) if too_long(cp, each, more=1) else after_start(cp, each) for each in tokens]


def _causal_scores(cp: Checkpoint, requests: list[list[int]]) -> list[float]:
    from fairshrink.models.inference import causal_log_probs

    return [tie_exact_mean(each) for each in causal_log_probs(cp, requests)]


def _entailment_requests(
    cp: Checkpoint, contexts: list[Context], filled: list[tuple[str, ...]]
) -> list[tuple[str, str] | Skipped]:
    pairs = [(context.text, sentence) for context in contexts for sentence in context.sentences]
    tokens = tokenize(cp, [text for text, _ in pairs], [sentence for _, sentence in pairs])
    return [Skipped(TOO_LONG) if too_long(cp, each) else pair for each, pair in zip(tokens, pairs, strict=True)]


def _entailment_scores(cp: Checkpoint, requests: list[tuple[str, str]]) -> Scores:
    """log p(entailment): the same order as p, but without its rounding near 1."""
    from fairshrink.models.inference import sequence_logits

    logits = sequence_logits(cp, [text for text, _ in requests], [sentence for _, sentence in requests])
    own = label_index(cp.labels, "entailment", "stereoset")
    rivals = np.logaddexp.reduce(np.delete(logits, own, axis=1), axis=1) - logits[:, own]
    return -np.logaddexp(0.0, rivals)


def log_ratio(one: Scores, other: Scores) -> Scores:
    """log(one / other) of probabilities: 0 for equal ones, and with the right sign however close they are.

    The logarithms of two numbers that differ in the last digits may be equal.
    """
    both = (one > 0) & (other > 0)
    low = np.where(both, np.minimum(one, other), 1.0)
    difference = np.where(both, one - other, 0.0)
    near = both & (np.abs(difference) < 0.5 * low)
    fine = np.sign(difference) * np.log1p(np.where(near, np.abs(difference), 0.0) / low)
    return np.where(near, fine, _log(one) - _log(other))


def _log(probability: Scores) -> Scores:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(probability == 0, _LOG_ZERO, np.log(probability))
