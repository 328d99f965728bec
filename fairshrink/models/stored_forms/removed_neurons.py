"""Removed feed-forward neurons: feed-forward matrices without the neurons' rows and columns.

Description: {"<layer>": how many neurons are left}, for layers with removed neurons. Layers that share their weights
(ALBERT) are one layer.
"""

from __future__ import annotations

import torch

from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.architecture.neurons import keep_neurons

ORDER = 10


def apply(model: torch.nn.Module, left: dict[str, int]) -> None:
    """Make the feed-forward matrices of a new model as small as those that will be loaded."""
    layers = blocks(model)
    for layer, number in left.items():
        keep_neurons(model, layers[int(layer)], list(range(number)))
