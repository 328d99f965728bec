"""Removed attention heads: query, key, value and output matrices without the heads' rows and columns.

Description: {"<layer>": [kept units, as numbered in the original model]}, for layers with removed heads. A unit is an
attention head, or, with grouped-query attention, a key and value head with its query heads. Layers that share
their weights (ALBERT) are one layer.
"""

from __future__ import annotations

import torch

from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.architecture.heads import head_units, keep_heads

ORDER = 10


def apply(model: torch.nn.Module, kept: dict[str, list[int]]) -> None:
    """Keep these units of a model, in place; units are numbered as in the model now, other layers are not changed."""
    head_units(model)
    layers = blocks(model)
    for layer, units in kept.items():
        keep_heads(model, layers[int(layer)], units)


def renumbered(before: dict[str, list[int]], kept: dict[str, list[int]]) -> dict[str, list[int]]:
    """The description of a model that was described by ``before`` and then kept these of its remaining units."""
    now = {layer: [before[layer][i] for i in units] if layer in before else units for layer, units in kept.items()}
    return {**before, **now}
