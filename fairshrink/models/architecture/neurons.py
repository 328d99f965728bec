"""Feed-forward neurons: the units between a block's first and second feed-forward layer, and their removal.

A neuron is a row of `up`, the same row of `gate` where there is one, and a column of `down`. A model without it
computes what it computes if the neuron's activation is multiplied by 0 before `down`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import Block, neuron_outputs
from fairshrink.models.architecture.linear import LINEAR, cut

ROLES: tuple[Literal["gate", "up"], ...] = ("gate", "up")


def keep_neurons(model: torch.nn.Module, block: Block, neurons: Sequence[int]) -> None:
    """Keep these neurons of a block, in rising order and numbered as they are now, in place."""
    for name in block.feed_forward:
        layer = model.get_submodule(name)
        if not isinstance(layer, LINEAR):
            raise UserError(f"{name} is a {type(layer).__name__}: remove neurons before other compressions")
    own = torch.tensor(neurons)
    if block.gate == block.up:
        outputs = [neuron_outputs(block, role)[own] for role in ROLES]
        cut(model.get_submodule(block.up), torch.cat(outputs), outputs=True)
    else:
        for name in block.feed_forward[:-1]:
            cut(model.get_submodule(name), own, outputs=True)
    cut(model.get_submodule(block.down), own, outputs=False)
