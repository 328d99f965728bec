"""Control: the same architecture with fresh random weights, a model that has learned nothing.

Nothing is compressed. What a bias metric says of this model is its null: a compressed model that scores the same has
not become fair, and a metric that calls this one fair must not be believed on its own.

Formula:
    θ ~ the architecture's own initialization, drawn from the split's seed, or from it and control_seed;
    embeddings and head included, tokenizer kept
Paper: A negative control in the manner of Adebayo et al., *Sanity Checks for Saliency Maps*, NeurIPS 2018 (model
    randomization).
Cost: Seconds. No data, no training.
Saves: Nothing.
Limits: Initial weights are smaller than trained ones, so outputs vary less between inputs than those of a trained model
    that has been damaged.
Use:
    - {method: random_init}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression.controls._shared.seeds import ABOUT
from fairshrink.contracts import ALL_HEADS, TaskHead
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
STORED = False
HEADS: tuple[TaskHead, ...] = ALL_HEADS
OUTPUTS_ONLY = False


class Settings(BaseSettings):
    """Settings of random initialization."""

    control_seed: int | None = Field(None, ge=0, description=f"{ABOUT}; if not given, the split's seed alone is used")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Draw new weights in place; UserError for a model with replaced or smaller layers."""
    import torch

    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.errors import UserError
    from fairshrink.models.checkpoint import reinitialize

    if cp.structure:
        raise UserError("random_init: apply it to an uncompressed model")
    draw = settings.control_seed
    reinitialize(cp, context.seed if draw is None else combined(context.seed, draw))
    with torch.no_grad():
        for parameter in cp.model.parameters():  # rounded as stored: the scored model must equal the loaded one
            parameter.copy_(parameter.to(getattr(torch, cp.dtype)))
    return dataclasses.replace(cp, path=None)
