"""What the likelihood benchmarks have in common: tokens with their places, and questions put to a language model.

A *question* is a token, a position and a sequence: what is the log-probability of the token there? All questions of a
benchmark are asked in one go, so that `inference` can sort, batch and answer equal sequences once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fairshrink.errors import UserError

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

TOO_LONG = "too long for the model"


class Tokens(NamedTuple):
    """A tokenized text: ids, the characters each token covers, and which tokens are special."""

    ids: list[int]
    spans: list[tuple[int, int]]
    special: list[int]


class Question(NamedTuple):
    """log p(target at position | sequence)?"""

    sequence: list[int]
    position: int
    target: int


def tokenize(cp: Checkpoint, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Tokens]:
    """Texts, or pairs of texts, with special tokens as the model wants them; never cut."""
    if not texts:
        return []
    encoded = cp.tokenizer(
        list(texts),
        list(pairs) if pairs is not None else None,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,
    )
    parts = (encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"])
    return [Tokens(*each) for each in zip(*parts, strict=True)]


def after_start(cp: Checkpoint, tokens: Tokens) -> list[int]:
    """Ids without special tokens after one beginning-of-sequence token, so that the first real one has a probability.

    Models without such a token get their end-of-sequence token, which is what stands before a text in their training.
    """
    start = cp.tokenizer.bos_token_id if cp.tokenizer.bos_token_id is not None else cp.tokenizer.eos_token_id
    if start is None:
        raise UserError(f"{cp.path or 'the model'}: its tokenizer names no beginning- or end-of-sequence token")
    return [start, *(token for token, special in zip(tokens.ids, tokens.special, strict=True) if not special)]


def too_long(cp: Checkpoint, tokens: Tokens, more: int = 0) -> bool:
    """Whether the model has too few positions for these tokens and so many more."""
    from fairshrink.models.checkpoint import max_tokens

    return len(tokens.ids) + more > max_tokens(cp)


def mask_id(cp: Checkpoint) -> int:
    """Id of the mask token; UserError where the tokenizer has none."""
    if cp.tokenizer.mask_token_id is None:
        raise UserError(f"{cp.path or 'the model'}: its tokenizer names no mask token")
    return cp.tokenizer.mask_token_id


def log_probabilities(cp: Checkpoint, groups: Sequence[Sequence[Question]]) -> list[NDArray[np.float64]]:
    """Log-probabilities by a masked LM, one array for each group of questions."""
    from fairshrink.models.inference import masked_log_probs

    questions = [question for group in groups for question in group]
    flat = masked_log_probs(
        cp,
        [question.sequence for question in questions],
        [question.position for question in questions],
        [question.target for question in questions],
    )
    return np.split(flat, np.cumsum([len(group) for group in groups])[:-1]) if groups else []


def steady_mean(values: NDArray[np.float64]) -> float:
    """Mean that is exact where all values are equal, however many: a model that knows nothing gives ties, not noise."""
    low = values.min()
    return float(low + (values - low).mean())


def above(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """1 where ``first`` is greater, 0 where it is not (a tie is not greater), NaN where either is NaN."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return np.where(np.isnan(one) | np.isnan(other), np.nan, one > other)
