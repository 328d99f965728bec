"""How much a model likes each way of filling a StereoSet gap, by kind of model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fairshrink.errors import UserError
from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Question,
    Tokens,
    after_start,
    log_probabilities,
    mask_id,
    steady_mean,
    tokenize,
    too_long,
)
from fairshrink.metrics.stereoset.contexts import LABELS, Context, fillers

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

METHODS = {"masked_lm": "masked", "causal_lm": "causal", "classification": "entailment"}

Scores = NDArray[np.float64]


def filler_scores(cp: Checkpoint, contexts: Sequence[Context]) -> list[Scores | str]:
    """For each context the scores ``[3]`` of its fillers in the order of ``LABELS``, or why it cannot be scored."""
    kinds = {
        "masked": (_masked_requests, _masked_scores),
        "causal": (_causal_requests, _causal_scores),
        "entailment": (_entailment_requests, _entailment_scores),
    }
    if cp.head not in METHODS:
        raise UserError(f"stereoset: needs a language model or a model of natural language inference, not {cp.head!r}")
    ask, answer = kinds[METHODS[cp.head]]
    outcomes: list[Any] = [fillers(context) for context in contexts]
    open_ = [i for i, found in enumerate(outcomes) if not isinstance(found, str)]
    requests = ask(cp, [contexts[i] for i in open_], [outcomes[i] for i in open_])
    for at, i in enumerate(open_):
        triple = requests[at * len(LABELS) : (at + 1) * len(LABELS)]
        outcomes[i] = next((each for each in triple if isinstance(each, str)), triple)
    open_ = [i for i in open_ if not isinstance(outcomes[i], str)]
    values = answer(cp, [request for i in open_ for request in outcomes[i]]) if open_ else []
    for at, i in enumerate(open_):
        outcomes[i] = np.asarray(values[at * len(LABELS) : (at + 1) * len(LABELS)], dtype=np.float64)
    return outcomes


def _masked_requests(
    cp: Checkpoint, contexts: list[Context], filled: list[tuple[str, ...]]
) -> list[list[Question] | str]:
    texts, places = [], []
    for context, words in zip(contexts, filled, strict=True):
        before, after = context.parts
        texts += [before + word + after for word in words]
        # A byte-level vocabulary may hold the space before a word as a piece of its own: it belongs to the filler.
        places += [(len(before.rstrip()), len(before) + len(word)) for word in words]
    return [_questions(cp, *each) for each in zip(tokenize(cp, texts), places, strict=True)]


def _questions(cp: Checkpoint, tokens: Tokens, place: tuple[int, int]) -> list[Question] | str:
    """One question for each sub-token of the filler at these characters; those to its right are not there yet."""
    inside = [i for i, span in enumerate(tokens.spans) if _overlap(span, place)]
    pieces = [tokens.ids[i] for i in inside]
    if not pieces or cp.tokenizer.unk_token_id in pieces:
        return "a filler is unknown to the vocabulary"
    if too_long(cp, tokens):
        return TOO_LONG
    before, after, mask = tokens.ids[: inside[0]], tokens.ids[inside[-1] + 1 :], mask_id(cp)
    return [
        Question([*before, *pieces[:step], mask, *after], len(before) + step, piece)
        for step, piece in enumerate(pieces)
    ]


def _overlap(span: tuple[int, int], place: tuple[int, int]) -> bool:
    """Whether a piece is part of the text at a place; the span of a lone space may be trimmed to nothing."""
    start, stop = span
    return max(start, place[0]) < min(stop, place[1]) or (start == stop and place[0] < start < place[1])


def _masked_scores(cp: Checkpoint, requests: list[list[Question]]) -> list[float]:
    return [steady_mean(np.exp(each)) for each in log_probabilities(cp, requests)]


def _causal_requests(cp: Checkpoint, contexts: list[Context], filled: list[tuple[str, ...]]) -> list[list[int] | str]:
    tokens = tokenize(cp, [sentence for context in contexts for sentence in context.sentences])
    return [TOO_LONG if too_long(cp, each, more=1) else after_start(cp, each) for each in tokens]


def _causal_scores(cp: Checkpoint, requests: list[list[int]]) -> list[float]:
    from fairshrink.models.inference import causal_log_probs

    return [steady_mean(each) for each in causal_log_probs(cp, requests)]


def _entailment_requests(
    cp: Checkpoint, contexts: list[Context], filled: list[tuple[str, ...]]
) -> list[tuple[str, str] | str]:
    pairs = [(context.text, sentence) for context in contexts for sentence in context.sentences]
    tokens = tokenize(cp, [text for text, _ in pairs], [sentence for _, sentence in pairs])
    return [TOO_LONG if too_long(cp, each) else pair for each, pair in zip(tokens, pairs, strict=True)]


def _entailment_scores(cp: Checkpoint, requests: list[tuple[str, str]]) -> Scores:
    """log p(entailment): in the order of p, but it does not run into 1."""
    from fairshrink.models.inference import sequence_logits

    names = [label.lower() for label in cp.labels]
    if names.count("entailment") != 1:
        raise UserError(f"stereoset: the model's labels are {', '.join(names) or 'none'}; one must be 'entailment'")
    logits = sequence_logits(cp, [text for text, _ in requests], [sentence for _, sentence in requests])
    own = names.index("entailment")
    rivals = np.logaddexp.reduce(np.delete(logits, own, axis=1), axis=1) - logits[:, own]
    return -np.logaddexp(0.0, rivals)
