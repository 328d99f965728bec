"""Control: Gaussian noise on the weights of the linear layers, damage without direction.

Nothing is compressed. The scores of these models show the effect of undirected damage on a bias metric: a compression
that changes bias no more than noise of equal damage (measured by `fidelity`) has no effect of its own. Several levels
and seeds give the spread of that null. Damage grows fast with the level, four times where a small level is doubled: on
a random BERT of two layers, 64 wide, the mean KL divergence from the baseline is 0.03, 0.11, 0.38 and 1.0 at levels
0.05, 0.1, 0.2 and 0.4 (masked tokens, three seeds).

Formula:
    W ← W + level · (‖W‖ / ‖E‖) · E,  E ~ N(0, 1) for each weight, ‖·‖ the Frobenius norm, for each matrix W in scope
    (query, key and value are three matrices, also where an architecture stores them as one)
Paper: None: a control of this project. That damage has to be measured by divergence from the original and not by task
    scores: Dutta et al., *Accuracy is Not All You Need*, NeurIPS 2024.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Nothing.
Limits: Relative to the norm the noise is equal in all matrices, while compressions change some more than others. Zeros
    do not stay zeros: apply it to uncompressed models. Levels are independent draws, even with one seed. Weights are
    rounded to the stored type of the checkpoint, which changes the norm slightly.
Use:
    - {method: weight_noise, level: [0.1, 0.2, 0.4], control_seed: [0, 1, 2]}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE
from fairshrink.compression.controls._shared.seeds import SeededSettings
from fairshrink.contracts import ALL_HEADS, Scope, TaskHead

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
STORED = False
HEADS: tuple[TaskHead, ...] = ALL_HEADS
OUTPUTS_ONLY = False


class Settings(SeededSettings):
    """Settings of noise on weights."""

    level: float = Field(gt=0, description="norm of the noise over the norm of the matrix, for each matrix")
    scope: Scope = Field("encoder", description=SCOPE)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Add noise in place; the same on every device. UserError where no dense linear layer is in scope."""
    import torch

    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.errors import UserError
    from fairshrink.models.architecture.blocks import matrices

    weights = matrices(cp.model, settings.scope)
    if not weights:
        raise UserError(f"weight_noise, scope {settings.scope!r}: no dense linear layer; apply it before quantizing")
    generator = torch.Generator().manual_seed(combined(context.seed, settings.control_seed, settings.level))
    for weight in weights:
        noise = torch.randn(weight.shape, generator=generator).to(weight.device)
        scale = settings.level * weight.double().norm() / noise.double().norm()
        noisy = (weight.double() + scale * noise.double()).float()
        weight.copy_(noisy.to(getattr(torch, cp.dtype)))
    return dataclasses.replace(cp, path=None)
