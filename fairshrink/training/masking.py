"""Which tokens a masked language model is to predict, and what stands in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint


def choose_masked(
    ids: torch.Tensor, real: torch.Tensor, share: float, cp: Checkpoint, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which tokens are to be predicted [n, length], at least one, and the ids with these masked."""
    draw = torch.rand(ids.shape, generator=generator).masked_fill(~real, 2.0)
    chosen = draw < share
    if real.any() and not chosen.any():
        chosen.view(-1)[draw.argmin()] = True
    fate = torch.rand(ids.shape, generator=generator)
    # A tokenizer may have tokens that the model has no embedding of, and the other way round.
    known = min(len(cp.tokenizer), cp.model.get_input_embeddings().num_embeddings)
    other = torch.randint(known, ids.shape, generator=generator)
    masked = ids.masked_fill(chosen & (fate < 0.8), cp.tokenizer.mask_token_id)
    return chosen, torch.where(chosen & (fate >= 0.9), other, masked)
