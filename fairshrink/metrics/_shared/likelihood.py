"""What the likelihood benchmarks share: tokens with their character spans, and queries of log-probabilities.

A *query* asks for the log-probability of a target token at a position of a sequence. All queries of a benchmark are
computed in one call, so that `inference` can sort and batch sequences and compute equal ones once.
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


class TokenizedText(NamedTuple):
    """The ids of a text's tokens, the characters that each token covers, and which tokens are special."""

    ids: list[int]
    spans: list[tuple[int, int]]
    special: list[int]


class Query(NamedTuple):
    """A log-probability to compute: log p(target at position | sequence)."""

    sequence: list[int]
    position: int
    target: int


def tokenize(cp: Checkpoint, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[TokenizedText]:
    """Tokenize texts, or pairs of texts, with the model's special tokens; never truncated."""
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
    return [TokenizedText(*each) for each in zip(*parts, strict=True)]


def after_start(cp: Checkpoint, tokens: TokenizedText) -> list[int]:
    """Ids without special tokens after the start token, so that the first real one has a probability."""
    from fairshrink.models.inference.sequences import start_token

    return [start_token(cp.tokenizer), *real_tokens(tokens)]


def real_tokens(tokens: TokenizedText) -> list[int]:
    """Ids without special tokens."""
    return [token for token, special in zip(tokens.ids, tokens.special, strict=True) if not special]


def without_start(cp: Checkpoint, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
    """log p of each token of texts that a causal LM reads without a start token, one array for each text.

    Only the first token of a text is conditioned on the start token, and on nothing else: how the code of StereoSet
    and of bias-bench scores GPT-2. Each first token is asked for once.
    """
    from fairshrink.models.inference.log_probs import causal_log_probs
    from fairshrink.models.inference.sequences import start_token

    start = start_token(cp.tokenizer)
    first = sorted({ids[0] for ids in sequences})
    found = causal_log_probs(cp, [[start, token] for token in first] + [list(ids) for ids in sequences])
    at_start = {token: float(values[0]) for token, values in zip(first, found, strict=False)}
    rest = found[len(first) :]
    return [np.array([at_start[ids[0]], *values]) for ids, values in zip(sequences, rest, strict=True)]


def overlap(span: tuple[int, int], characters: tuple[int, int]) -> bool:
    """Whether a piece overlaps a range of characters; the span of a single space may be trimmed to nothing."""
    start, stop = span
    return max(start, characters[0]) < min(stop, characters[1]) or (
        start == stop and characters[0] < start < characters[1]
    )


def too_long(cp: Checkpoint, tokens: TokenizedText, more: int = 0) -> bool:
    """Whether the model has too few positions for these tokens and ``more`` further ones."""
    from fairshrink.models.checkpoint import max_tokens

    return len(tokens.ids) + more > max_tokens(cp)


def mask_id(cp: Checkpoint) -> int:
    """Id of the mask token; UserError if the tokenizer has none."""
    if cp.tokenizer.mask_token_id is None:
        raise UserError(f"{cp.path or 'the model'}: its tokenizer has no mask token")
    return cp.tokenizer.mask_token_id


def log_probabilities(cp: Checkpoint, groups: Sequence[Sequence[Query]]) -> list[NDArray[np.float64]]:
    """Log-probabilities by a masked LM, one array for each group of queries."""
    from fairshrink.models.inference.log_probs import masked_log_probs

    queries = [query for group in groups for query in group]
    flat = masked_log_probs(
        cp,
        [query.sequence for query in queries],
        [query.position for query in queries],
        [query.target for query in queries],
    )
    return np.split(flat, np.cumsum([len(group) for group in groups])[:-1]) if groups else []


def tie_exact_mean(values: NDArray[np.float64]) -> float:
    """A mean that is exact if all values are equal, so that a uniform model gives ties, not rounding noise."""
    low = values.min()
    return float(low + (values - low).mean())


def above(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """1 where ``first`` is greater, 0 where it is not (a tie is not greater), NaN where either one is NaN."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return np.where(np.isnan(one) | np.isnan(other), np.nan, one > other)
