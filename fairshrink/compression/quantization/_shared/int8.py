"""Quantizing linear layers of a checkpoint to 8 bits."""

from __future__ import annotations

import dataclasses

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.stored_forms import int8 as structure


def to_int8(cp: Checkpoint, scope: str, activations: str) -> Checkpoint:
    """Replace the linear layers in scope, in place, by 8-bit ones."""
    names = linear_names(cp.model, scope)
    if not names or "int8" in cp.structure:
        raise UserError(f"scope {scope!r}: there is no floating-point linear layer to quantize, or it is already int8")
    dense = {name: cp.model.get_submodule(name) for name in names}
    description = {"modules": names, "activations": activations}
    structure.apply(cp.model, description)
    for name, linear in dense.items():
        layer = cp.model.get_submodule(name)
        layer.codes, layer.scales = structure.quantize(matrix(linear).float())
        if linear.bias is not None:
            layer.bias = torch.nn.Parameter(linear.bias.detach())
    cp.model.eval()
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "int8": description})
