"""Blocks that use the linear layers of another block: their weights and biases are the same parameters.

Description: {name of a layer: name of the layer whose weights it uses}. What is tied is stored once.
"""

from __future__ import annotations

import torch

ORDER = 30


def apply(model: torch.nn.Module, description: dict[str, str]) -> None:
    """Give each named layer the parameters of another, in place."""
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    for name, source in description.items():
        mine, other = model.get_submodule(name), model.get_submodule(source)
        for part, value in other.named_parameters(recurse=False):
            mine.register_parameter(part, value)
            tied[f"{name}.{part}"] = f"{source}.{part}"
    model.all_tied_weights_keys = tied  # what `checkpoint` stores once
