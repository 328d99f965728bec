"""Is a model computed as its maker computes it? A few outputs are compared with those of plain transformers.

It is asked of every model that is read, before anything else is done with it: an architecture whose outputs are not
understood is refused with the first text, not scored wrongly.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.models.inference.forward import hidden_states, token_logits
from fairshrink.models.inference.sequences import check_known, padded, start_token

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
    states = [inner[row, : len(ids)] for row, ids in enumerate(sequences)]
    alone = [{"input_ids": torch.tensor([ids])} for ids in sequences]
    what, outputs = "outputs", None
    if whole and head != "encoder":
        theirs = [maker(**each).logits[0] for each in alone]
        if head in ("masked_lm", "causal_lm"):
            what, ours = "log-probabilities", [token_logits(model, each).log_softmax(1) for each in states]
            theirs = [each.log_softmax(1) for each in theirs]
        else:
            what, ours = "logits", list(model(**inputs).logits)
            if not same_order:
                ours, theirs = ([each.sort().values for each in both] for both in (ours, theirs))
        outputs = _difference(ours, theirs)
        if outputs is None:
            return
    # Only to say what differs, where outputs have been compared.
    inside = _difference(states, [hidden_states(maker, each)[0] for each in alone])
    if inside is not None:
        raise UserError(_message("hidden states", inside, folder))
    if outputs is not None:
        raise UserError(_message(what, outputs, folder))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, head: TaskHead) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=head != "causal_lm", verbose=False)["input_ids"]
    return [start_token(tokenizer), *ids] if head == "causal_lm" else ids


def _difference(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float | None:
    """The largest difference; None if it is within the tolerance, NaN if a value is not finite."""
    largest = float(torch.stack([each.abs().max() for each in theirs]).max())  # NaN if any is, unlike Python's `max`
    pairs = zip(ours, theirs, strict=True)
    difference = float(torch.stack([(one - other).abs().max() for one, other in pairs]).max())
    return None if difference <= TOLERANCE * max(1.0, largest) < math.inf else difference


def _message(what: str, difference: float, folder: Path) -> str:
    if not math.isfinite(difference):
        return f"{folder}: the model's {what} are not finite: its weights are damaged"
    return (
        f"{folder}: fairshrink computes other {what} than plain transformers (they differ by {difference:.2g}); "
        "this model cannot be used, please report its config.json"
    )
