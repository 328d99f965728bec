"""StereoSet, intersentence: scores of sentences that follow a context; and entailment, in both parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Query,
    TokenizedText,
    after_start,
    log_probabilities,
    mask_id,
    real_tokens,
    tie_exact_mean,
    tokenize,
    too_long,
    without_start,
)
from fairshrink.metrics._shared.outcomes import Skipped
from fairshrink.metrics.stereoset.contexts import Context
from fairshrink.models.classes import label_index

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint


def _ended(text: str) -> str:
    """A context with a full stop where it has none, as in the published code."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _both(contexts: list[Context]) -> tuple[list[str], list[str]]:
    """Contexts and the sentences that follow them, in two lists of equal length."""
    return (
        [_ended(context.text) for context in contexts for _ in context.sentences],
        [sentence for context in contexts for sentence in context.sentences],
    )


def pseudo_requests(cp: Checkpoint, contexts: list[Context]) -> list[list[Query] | Skipped]:
    """For each sentence one query for each of its tokens; the context is the first of two segments."""
    before, after = _both(contexts)
    together = tokenize(cp, before, after)
    return [
        Skipped(TOO_LONG) if too_long(cp, pair) else _each_masked(pair, len(real_tokens(alone)), mask_id(cp))
        for pair, alone in zip(together, tokenize(cp, after), strict=True)
    ]


def _each_masked(pair: TokenizedText, count: int, mask: int) -> list[Query]:
    """A query for each of the last ``count`` tokens that are not special, with it masked."""
    positions = [i for i, special in enumerate(pair.special) if not special][-count:]
    return [Query([*pair.ids[:i], mask, *pair.ids[i + 1 :]], i, pair.ids[i]) for i in positions]


def pseudo_scores(cp: Checkpoint, requests: list[list[Query]]) -> list[float]:
    """Mean log-probability of the tokens of a sentence."""
    return [tie_exact_mean(each) for each in log_probabilities(cp, requests)]


@dataclass(frozen=True)
class _Continued:
    """A context and a sentence after the start token; the last ``count`` tokens are the sentence's."""

    ids: list[int]
    count: int


def conditional_requests(cp: Checkpoint, contexts: list[Context]) -> list[_Continued | Skipped]:
    """Context and sentence as one text, and how many of its tokens are the sentence's."""
    before, after = _both(contexts)
    found: list[_Continued | Skipped] = []
    whole = tokenize(cp, [f"{one} {other}" for one, other in zip(before, after, strict=True)])
    for tokens, context in zip(whole, before, strict=True):
        count = sum(stop > len(context) for (_, stop), special in zip(tokens.spans, tokens.special, strict=True)
                    if not special)  # fmt: skip
        found.append(Skipped(TOO_LONG) if too_long(cp, tokens, more=1) else _Continued(after_start(cp, tokens), count))
    return found


def conditional_scores(cp: Checkpoint, requests: list[_Continued]) -> list[float]:
    """Mean log-probability of the sentence's tokens, given the context."""
    from fairshrink.models.inference.log_probs import causal_log_probs

    found = causal_log_probs(cp, [each.ids for each in requests])
    return [tie_exact_mean(values[-each.count :]) for each, values in zip(requests, found, strict=True)]


def ratio_requests(cp: Checkpoint, contexts: list[Context]) -> list[tuple[list[int], list[int]] | Skipped]:
    """The tokens of the context and those of the sentence, each alone."""
    before, after = (tokenize(cp, texts) for texts in _both(contexts))
    return [
        Skipped(TOO_LONG) if too_long(cp, one, 1) or too_long(cp, other, 1) else (real_tokens(one), real_tokens(other))
        for one, other in zip(before, after, strict=True)
    ]


def ratio_scores(cp: Checkpoint, requests: list[tuple[list[int], list[int]]]) -> list[float]:
    """Mean log-probability of the sentence over that of the context, as in the published code for GPT-2."""
    unique = list({tuple(ids): None for request in requests for ids in request})
    means = {ids: tie_exact_mean(each) for ids, each in zip(unique, without_start(cp, unique), strict=True)}
    return [means[tuple(sentence)] / means[tuple(context)] for context, sentence in requests]


def entailment_requests(cp: Checkpoint, contexts: list[Context]) -> list[tuple[str, str] | Skipped]:
    """Context and sentence as two segments."""
    pairs = [(context.text, sentence) for context in contexts for sentence in context.sentences]
    tokens = tokenize(cp, [text for text, _ in pairs], [sentence for _, sentence in pairs])
    return [Skipped(TOO_LONG) if too_long(cp, each) else pair for each, pair in zip(tokens, pairs, strict=True)]


def entailment_scores(cp: Checkpoint, requests: list[tuple[str, str]]) -> NDArray[np.float64]:
    """log p(entailment): the same order as p, but without its rounding near 1."""
    from fairshrink.models.inference.outputs import sequence_logits

    logits = sequence_logits(cp, [text for text, _ in requests], [sentence for _, sentence in requests])
    own = label_index(cp.labels, "entailment", "stereoset")
    rivals = np.logaddexp.reduce(np.delete(logits, own, axis=1), axis=1) - logits[:, own]
    return -np.logaddexp(0.0, rivals)
