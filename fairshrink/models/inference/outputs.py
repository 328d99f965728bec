"""What a model says of whole texts: sentence vectors, logits of a task head, attention.

Every function sorts by length, batches to a token budget, and pads to the right or packs; results are in the order of
the inputs. In float32 a batched result equals one computed alone to within 1e-4. With ``checkpoint.precision ==
"bf16"`` the transformer runs under bfloat16 autocast.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch

from fairshrink.contracts import Pooling
from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import collate, encode
from fairshrink.models.inference.forward import hidden_states
from fairshrink.models.inference.last_block import last_block, only_at
from fairshrink.models.inference.packed_texts import can_pack, end_to_end, layout
from fairshrink.models.inference.remembered import remembered
from fairshrink.models.inference.running import computing, require_head, rounds

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@remembered
def sentence_embeddings(cp: Checkpoint, texts: Sequence[str], pooling: str) -> np.ndarray:
    """Sentence vectors [n, hidden size] from the last hidden layer.

    ``pooling``: "mean" over real tokens without special ones (over all if a text has only special ones), "cls" the
    first position, "last" the last token (for causal models), "mean_all" the mean with special tokens.
    """
    if pooling not in POOLINGS:
        raise UserError(f"pooling {pooling!r}: choose one of {', '.join(POOLINGS)}")
    if cp.structure.get("own_runtime", {}).get("heads") == "words":
        raise UserError("its file gives logits of words alone: embeddings of texts cannot be had from it")
    encoded = encode(cp, texts)
    sequences = encoded["input_ids"]
    special = [_special(cp, *each) for each in zip(sequences, encoded["special_tokens_mask"], strict=True)]
    none = np.zeros(cp.model.config.hidden_size)
    vectors = [none] * len(texts)
    with computing(cp):
        for rows in rounds(cp, sequences, padded=not can_pack(cp)):
            for row, hidden in zip(rows, _hidden(cp, [sequences[i] for i in rows]), strict=True):
                vectors[row] = _pool(hidden, special[row], pooling).cpu().double().numpy()
    return np.stack(vectors) if vectors else none[None, :][:0]


@remembered
def sequence_logits(
    cp: Checkpoint, texts: Sequence[str], pairs: Sequence[str] | None = None, *, max_length: int | None = None
) -> np.ndarray:
    """Logits [n, outputs] of a regression or classification task head for texts or pairs of texts."""
    require_head(cp, ("regression", "classification"))
    encoded = encode(cp, texts, pairs, max_length=max_length)
    sequences, types = encoded["input_ids"], encoded.get("token_type_ids")
    logits = np.zeros((len(texts), cp.model.config.num_labels))
    with computing(cp):
        last = last_block(cp.model)  # what it may do depends on the precision
        for rows in rounds(cp, sequences, padded=not can_pack(cp)):
            inputs = collate(cp, [sequences[i] for i in rows], [types[i] for i in rows] if types else None)
            # The classifiers of these architectures read the first position, and no other.
            at = torch.arange(len(rows)), torch.zeros(len(rows), dtype=torch.long)
            with contextlib.ExitStack() as stack:
                if last and can_pack(cp):
                    lying = layout(inputs, cp.model.config.pad_token_id)
                    stack.enter_context(end_to_end(cp.model, lying))
                    stack.enter_context(only_at(last, *lying.at(*at), lying.runs))
                elif last:
                    stack.enter_context(only_at(last, *at))
                logits[rows] = cp.model(**inputs).logits.float().cpu().double().numpy()
    return logits


@remembered
def attention_received(cp: Checkpoint, sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """How much attention each position receives: mean over layers, heads and query positions; sums to 1."""
    result = [np.zeros(0)] * len(sequences)
    before = cp.model.config._attn_implementation
    cp.model.set_attn_implementation("eager")  # the fused kernels do not return weights
    try:
        with computing(cp):
            for rows in rounds(cp, sequences):
                inputs = collate(cp, [sequences[i] for i in rows])
                layers = cp.model.base_model(**inputs, output_attentions=True).attentions
                received = torch.stack([layer.float().mean(1) for layer in layers]).mean(0)
                for at, row in enumerate(rows):
                    n = len(sequences[row])
                    result[row] = received[at, :n, :n].mean(0).cpu().double().numpy()
    finally:
        cp.model.set_attn_implementation(before)
    return result


def _hidden(cp: Checkpoint, sequences: Sequence[Sequence[int]]) -> Sequence[torch.Tensor]:
    """The last hidden layer ``[length, width]`` of each text."""
    inputs, lengths = collate(cp, sequences), [len(ids) for ids in sequences]
    if can_pack(cp):
        with end_to_end(cp.model, layout(inputs, cp.model.config.pad_token_id)):
            return hidden_states(cp.model, inputs)[0].split(lengths)
    return [each[:length] for each, length in zip(hidden_states(cp.model, inputs), lengths, strict=True)]


def _special(cp: Checkpoint, ids: Sequence[int], added: Sequence[int]) -> Sequence[int]:
    """1 for special tokens: those that the tokenizer ``added``, and a start token that the text itself begins with."""
    started = len(ids) > 0 and ids[0] in (cp.tokenizer.bos_token_id, cp.tokenizer.eos_token_id)
    return [1, *added[1:]] if started else added


def _pool(hidden: torch.Tensor, special: Sequence[int], pooling: str) -> torch.Tensor:
    hidden = hidden.float()
    if pooling == "cls":
        return hidden[0]
    if pooling == "last":
        return hidden[-1]
    real = [i for i, flag in enumerate(special) if not flag]
    return hidden[real].mean(0) if pooling == "mean" and real else hidden.mean(0)
