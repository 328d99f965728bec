"""StereoSet, intrasentence: scores of sentences that fill the gap of a context, by language models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Query,
    TokenizedText,
    after_start,
    log_probabilities,
    mask_id,
    overlap,
    real_tokens,
    tie_exact_mean,
    tokenize,
    too_long,
    without_start,
)
from fairshrink.metrics._shared.outcomes import Skipped
from fairshrink.metrics.stereoset.contexts import Context, Filled, fillers

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

Span = tuple[int, int]


def masked_requests(cp: Checkpoint, contexts: list[Context]) -> list[list[Query] | Skipped]:
    """For each sentence one query for each sub-token of its filler."""
    texts: list[str] = []
    gaps: list[list[Span]] = []
    for filled in map(fillers, contexts):
        assert isinstance(filled, Filled)
        texts += [filled.text(word) for word in filled.words]
        gaps += [_with_space(filled, word) for word in filled.words]
    return [_queries(cp, *each) for each in zip(tokenize(cp, texts), gaps, strict=True)]


def _with_space(filled: Filled, word: str) -> list[Span]:
    """The characters of each gap.

    A byte-level vocabulary may have the space before a word as a separate piece, which belongs to the filler.
    """
    spaces = [len(part) - len(part.rstrip()) for part in filled.parts]
    return [(start - space, stop) for (start, stop), space in zip(filled.gaps(word), spaces, strict=False)]


def _queries(cp: Checkpoint, tokens: TokenizedText, gaps: Sequence[Span]) -> list[Query] | Skipped:
    """One query for each sub-token of the filler in the first gap; sub-tokens to its right are left out.

    Every other gap has the same: the sub-tokens so far and a mask.
    """
    inside = [[i for i, span in enumerate(tokens.spans) if overlap(span, gap)] for gap in gaps]
    pieces = [[tokens.ids[i] for i in each] for each in inside]
    if not all(pieces) or any(cp.tokenizer.unk_token_id in each for each in pieces):
        return Skipped("a filler is unknown to the vocabulary")
    if too_long(cp, tokens):
        return Skipped(TOO_LONG)
    queries = []
    for step, target in enumerate(pieces[0]):
        sequence, at = [], 0
        for each, mine in zip(inside, pieces, strict=True):
            sequence += [*tokens.ids[at : each[0]], *mine[: min(step, len(mine) - 1)], mask_id(cp)]
            at = each[-1] + 1
        queries.append(Query([*sequence, *tokens.ids[at:]], inside[0][0] + step, target))
    return queries


def masked_scores(cp: Checkpoint, requests: list[list[Query]]) -> list[float]:
    """Mean probability of the sub-tokens."""
    return [tie_exact_mean(np.exp(each)) for each in log_probabilities(cp, requests)]


def causal_requests(cp: Checkpoint, contexts: list[Context]) -> list[list[int] | Skipped]:
    """The tokens of each sentence after a start token."""
    return _tokens(cp, contexts, after_start)


def causal_scores(cp: Checkpoint, requests: list[list[int]]) -> list[float]:
    """Mean log-probability of the tokens after the start token."""
    from fairshrink.models.inference.log_probs import causal_log_probs

    return [tie_exact_mean(each) for each in causal_log_probs(cp, requests)]


def bare_requests(cp: Checkpoint, contexts: list[Context]) -> list[list[int] | Skipped]:
    """The tokens of each sentence alone."""
    return _tokens(cp, contexts, lambda _, tokens: real_tokens(tokens))


def bare_scores(cp: Checkpoint, requests: list[list[int]]) -> list[float]:
    """Mean log-probability of the tokens, of which only the first is conditioned on the start token."""
    return [tie_exact_mean(each) for each in without_start(cp, requests)]


def _tokens(
    cp: Checkpoint, contexts: list[Context], ids: Callable[[Checkpoint, TokenizedText], list[int]]
) -> list[list[int] | Skipped]:
    tokens = tokenize(cp, [sentence for context in contexts for sentence in context.sentences])
    return [Skipped(TOO_LONG) if too_long(cp, each, more=1) else ids(cp, each) for each in tokens]
