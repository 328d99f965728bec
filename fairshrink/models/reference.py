"""Is a model computed as its maker computes it? A few outputs are compared with those of plain transformers.

It is asked of every model that is read, before anything else is done with it: an architecture whose outputs are not
understood is refused with the first text, not scored wrongly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.models.forward import hidden_states, token_logits
from fairshrink.models.sequences import check_known, padded, start_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXTS = ("The doctor met a man and a woman in the old park.", "Yes, they did.")
TOLERANCE = 1e-4
"""Share of the largest value, at least 1. In float32 batched texts differ by 1e-5 from single ones, and a part that is
left out shows by more than 1e-2."""


@torch.inference_mode()
def check(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    head: TaskHead,
    maker: torch.nn.Module,
    folder: Path,
    *,
    whole: bool,
    same_order: bool = True,
) -> None:
    """UserError naming what differs between ``model``, as it is computed here, and ``maker``, one text at a time.

    ``maker``: what plain transformers makes of the folder. Hidden states are compared, and logits if the model is the
    maker's as a ``whole``, its task head included; ``same_order``: a classifier's outputs are in the maker's order.
    """
    sequences = [_ids(tokenizer, text, head) for text in TEXTS]
    check_known(model, tokenizer, sequences)
    inputs = padded(sequences, model.config.pad_token_id)
    inner = hidden_states(model, inputs)
    for row, ids in enumerate(sequences):
        alone = {"input_ids": torch.tensor([ids])}
        _equal(inner[row, : len(ids)], hidden_states(maker, alone)[0], "hidden states", folder)
    if not whole or head == "encoder":
        return
    logits = None if head in ("masked_lm", "causal_lm") else model(**inputs).logits
    for row, ids in enumerate(sequences):
        theirs = maker(input_ids=torch.tensor([ids])).logits[0]
        if logits is None:
            ours, theirs = token_logits(model, inner[row, : len(ids)]).log_softmax(1), theirs.log_softmax(1)
            _equal(ours, theirs, "log-probabilities", folder)
        elif same_order:
            _equal(logits[row], theirs, "logits", folder)
        else:
            _equal(logits[row].sort().values, theirs.sort().values, "logits", folder)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, head: TaskHead) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=head != "causal_lm", verbose=False)["input_ids"]
    return [start_token(tokenizer), *ids] if head == "causal_lm" else ids


def _equal(ours: torch.Tensor, theirs: torch.Tensor, what: str, folder: Path) -> None:
    if not torch.isfinite(theirs).all():
        raise UserError(f"{folder}: the model's {what} are not finite: its weights are damaged")
    difference = float((ours - theirs).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(theirs.abs().max())):
        raise UserError(
            f"{folder}: fairshrink computes other {what} than plain transformers (they differ by {difference:.2g}); "
            "this model cannot be used, please report its config.json"
        )
