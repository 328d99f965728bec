"""What a table of how often each token occurs, made from the task's own training text, gives to the test text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

MOST_TEXTS = 20_000
"""Training texts counted: their first ones, which are shuffled by the split; more would hardly move the table."""


def unigram_nll(
    cp: Checkpoint, training: Sequence[str], texts: Sequence[str], max_length: int | None
) -> NDArray[np.float64]:
    """Per text the sum of −log p(token) over the tokens that the language model is scored on, ``[n]``.

    p(token) = (count + 1) / (all counts + V), over the V tokens of the model's vocabulary. Only the tokenizer of the
    checkpoint is used. Without training text p is uniform.
    """
    vocabulary = int(cp.model.config.vocab_size)
    seen = [token for ids in scored_tokens(cp, list(training)[:MOST_TEXTS], max_length) for token in ids]
    counts = np.bincount(np.array(seen, dtype=np.intp), minlength=vocabulary)
    nll = np.log(len(seen) + vocabulary) - np.log(counts + 1.0)
    return np.array([sum(float(nll[token]) for token in ids) for ids in scored_tokens(cp, texts, max_length)])


def scored_tokens(cp: Checkpoint, texts: Sequence[str], max_length: int | None) -> list[list[int]]:
    """The tokens of each text that a language model gives a probability, as the tasks score them.

    Masked: all that are not special. Causal: all but the first of the sequence.
    """
    from fairshrink.models.inference.batching import causal_ids, encode

    if cp.head == "causal_lm":
        return [causal_ids(cp, text, max_length)[1:] for text in texts]
    encoded = encode(cp, list(texts), max_length=max_length)
    both = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
    return [[token for token, flag in zip(ids, special, strict=True) if not flag] for ids, special in both]
