"""Weights of linear layers that are held in bfloat16 on a GPU, where every use of them rounds them to it anyway.

A model that is stored in bfloat16 and computed in it would be in memory in float32, with a copy in bfloat16 beside it
that autocast makes: three times the bytes of its file. Embeddings, biases, normalization and language-model heads,
which compute in float32, stay in float32; all results are the same bits.
"""

from __future__ import annotations

import torch

from fairshrink.contracts import Precision, StoredType
from fairshrink.models.architecture.blocks import linear_names


def suit(stored: StoredType, precision: Precision, device: str) -> bool:
    """Whether a model that is stored and computed like this is held so.

    On a CPU it is not: there layers may be changed in place or computed in float32 as well, and memory is larger.
    """
    return stored == "bfloat16" and precision == "bf16" and torch.device(device).type == "cuda"


def hold(model: torch.nn.Module) -> None:
    """Empty weights in bfloat16 in place of those of all dense linear layers in the blocks, still to be filled."""
    for name in linear_names(model, "encoder"):
        weight = model.get_submodule(name).weight
        if weight.dtype == torch.float32:  # a parameter of several layers stays one
            weight.data = torch.empty(weight.shape, dtype=torch.bfloat16, device=weight.device)
