"""From texts to token ids, and from these to padded batches of similar cost; the order depends only on the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint, max_tokens
from fairshrink.models.inference.sequences import check_known, padded, start_token

if TYPE_CHECKING:
    from transformers import BatchEncoding

# Measured with MiniLM on CPU cores: 1,024 tokens are within 3 % of the best, 4,096 a fifth slower (caches).
TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 32768}
# Measured with MiniLM on a CPU core: a forward pass of few tokens takes as long as 35 tokens of a large one, and its
# vocabulary as long as 30.
START = 1 / 16
"""What it costs to begin a batch, as a share of the tokens of a full one."""

SPREAD = 8
"""How far the lengths in a batch without padding may be apart, see `batches`."""


def encode(
    cp: Checkpoint,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int | None = None,
) -> BatchEncoding:
    """Tokenize and truncate to ``max_length`` (at most the number of the model's positions).

    The result has ``input_ids``, ``special_tokens_mask`` and, for pairs, ``token_type_ids`` where the model has them.
    """
    limit = min(max_length or max_tokens(cp), max_tokens(cp))
    if not len(texts):
        return {"input_ids": [], "special_tokens_mask": [], "token_type_ids": []}
    return cp.tokenizer(
        list(texts),
        list(pairs) if pairs is not None else None,
        truncation="longest_first" if pairs is not None else True,
        max_length=limit,
        return_special_tokens_mask=True,
        return_token_type_ids=pairs is not None and _has_token_types(cp),
        return_attention_mask=False,
        verbose=False,
    )


def token_ids(cp: Checkpoint, text: str, add_special_tokens: bool = True) -> list[int]:
    """Token ids of one text, never truncated."""
    return cp.tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)["input_ids"]


def causal_ids(cp: Checkpoint, text: str, max_length: int | None = None) -> list[int]:
    """Token ids for causal scoring: the start token and the text, truncated if too long."""
    ids = [start_token(cp.tokenizer), *token_ids(cp, text, add_special_tokens=False)]
    return ids[: min(max_length or max_tokens(cp), max_tokens(cp))]


def each_masked(
    cp: Checkpoint, texts: Sequence[str], max_length: int | None = None
) -> tuple[list[list[int]], list[int], list[int], list[int]]:
    """Texts with each token that is not special masked in turn, one list item for each token.

    The masked sequences, the positions of their masks, the tokens that were there, and the numbers of their texts.
    """
    encoded = encode(cp, texts, max_length=max_length)
    sequences, positions, targets, owners = [], [], [], []
    for row, (ids, special) in enumerate(zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)):
        for position in (i for i, flag in enumerate(special) if not flag):
            sequences.append([*ids[:position], cp.tokenizer.mask_token_id, *ids[position + 1 :]])
            positions.append(position)
            targets.append(ids[position])
            owners.append(row)
    return sequences, positions, targets, owners


def batches(lengths: Sequence[int], budget: int, padded: bool = True) -> Iterator[list[int]]:
    """Indices grouped so that (longest in the batch) x (items) <= ``budget``, longest first, ties by index.

    Without padding the sum of the lengths is, and the former is at most SPREAD times that (embeddings are padded). The
    groups are those that cost least: their tokens, padding included, and for each group as many as START of the budget.
    A sequence longer than the budget is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    longest = np.array([lengths[i] for i in order], dtype=int)
    until = np.array([0, *longest.cumsum()])
    cost, stops = np.zeros(len(order) + 1), [0] * len(order)
    for start in reversed(range(len(order))):  # the cheapest groups of all items from this one on
        if padded:
            most = min(budget // max(1, longest[start]), len(order) - start)
            tokens = longest[start] * np.arange(1, most + 1)
        else:
            beyond = int(until.searchsorted(until[start] + budget, side="right"))
            beyond = min(beyond, start + 1 + SPREAD * budget // max(1, longest[start]))
            tokens = until[start + 1 : beyond] - until[start]
        tokens = tokens if len(tokens) else longest[start : start + 1]
        end = start + len(tokens)
        every = tokens + cost[start + 1 : end + 1]
        stops[start] = end - int(every[::-1].argmin())
        cost[start] = every.min() + START * budget
    at = 0
    while at < len(order):
        yield order[at : stops[at]]
        at = stops[at]


def token_budget(cp: Checkpoint) -> int:
    """Maximum number of tokens in a batch, padding included."""
    usual = TOKENS_PER_BATCH.get(cp.device.type, TOKENS_PER_BATCH["cuda"])
    return max(1, round(usual * cp.batch_share))


def collate(
    cp: Checkpoint, sequences: Sequence[Sequence[int]], token_types: Sequence[Sequence[int]] | None = None
) -> dict[str, torch.Tensor]:
    """Right-padded model inputs [n, longest] on the model's device; ``attention_mask`` marks padding with 0.

    UserError as `check_sequences` says.
    """
    check_sequences(cp, sequences)
    inputs = padded(sequences, cp.model.config.pad_token_id, token_types)
    return {name: value.to(cp.device) for name, value in inputs.items()}


def check_sequences(cp: Checkpoint, sequences: Sequence[Sequence[int]]) -> None:
    """UserError for a sequence that is empty, too long, or has an id that the model has no embedding of."""
    longest, limit = max(map(len, sequences)), max_tokens(cp)
    if longest > limit:
        raise UserError(f"a sequence of {longest} tokens is too long: the model has {limit} positions")
    if not min(map(len, sequences)):
        raise UserError("an empty text: it has no tokens")
    check_known(cp.model, cp.tokenizer, sequences)


def _has_token_types(cp: Checkpoint) -> bool:
    return getattr(cp.model.config, "type_vocab_size", 1) > 1
