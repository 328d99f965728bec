"""Sequences of token ids as models read them: what comes first, and how several make a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from fairshrink.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def start_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token before every text of which a causal model gives probabilities, the same in all tasks and metrics.

    With it the first token of a text has a probability too. The beginning-of-sequence token; for models without one
    (Qwen) the end-of-sequence token, which precedes a text in their training. UserError if there is neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError(
        f"{tokenizer.name_or_path}: the tokenizer has no beginning- or end-of-sequence token; name the one that "
        "precedes a text as bos_token in tokenizer_config.json"
    )


def check_known(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, sequences: Sequence[Sequence[int]]) -> None:
    """UserError for an id that the model has no embedding of."""
    highest, known = max(map(max, sequences)), model.get_input_embeddings().num_embeddings
    if highest >= known:
        raise UserError(
            f"the tokenizer gives {tokenizer.convert_ids_to_tokens(highest)!r} the id {highest}, but the model has "
            f"only {known} embeddings; take the tokenizer that belongs to it, or leave this token out of the texts"
        )


def padded(
    sequences: Sequence[Sequence[int]], pad: int, token_types: Sequence[Sequence[int]] | None = None
) -> dict[str, torch.Tensor]:
    """Right-padded model inputs [n, longest]; ``attention_mask`` marks padding with 0.

    With padding on the right the positions of causal models are right without position ids.
    """
    longest = max(map(len, sequences))
    inputs = {
        "input_ids": torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in sequences]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences]),
    }
    if token_types is not None:
        inputs["token_type_ids"] = torch.tensor([[*t, *[0] * (longest - len(t))] for t in token_types])
    return inputs
