"""The layers that multiply by a matrix: torch's `Linear`, and GPT-2's `Conv1D`, whose weights are transposed."""

from __future__ import annotations

import torch
from transformers.pytorch_utils import Conv1D

LINEAR = (torch.nn.Linear, Conv1D)
"""Dense layers with floating-point weights, those that can be pruned and quantized."""


def output_dim(layer: torch.nn.Module) -> int:
    """The dimension of a dense layer's weights that numbers its outputs."""
    return 1 if isinstance(layer, Conv1D) else 0


def sizes(layer: torch.nn.Module) -> tuple[int, int] | None:
    """Inputs and outputs of a layer that multiplies by a matrix, dense or not; None for other modules."""
    if isinstance(layer, Conv1D):
        return layer.nx, layer.nf
    return (layer.in_features, layer.out_features) if hasattr(layer, "in_features") else None


def matrix(layer: torch.nn.Module) -> torch.Tensor:
    """The weights of a dense layer as [outputs, inputs], sharing memory with it."""
    return layer.weight.detach().t() if isinstance(layer, Conv1D) else layer.weight.detach()


@torch.no_grad()
def cut(layer: torch.nn.Module, kept: torch.Tensor, *, outputs: bool) -> None:
    """Keep some outputs of a dense layer, with their biases, or some of its inputs, in place."""
    dim = output_dim(layer) if outputs else 1 - output_dim(layer)
    kept = kept.to(layer.weight.device)
    layer.weight = torch.nn.Parameter(layer.weight.detach().index_select(dim, kept))
    if outputs and layer.bias is not None:
        layer.bias = torch.nn.Parameter(layer.bias.detach().index_select(0, kept))
    if isinstance(layer, Conv1D):
        layer.nx, layer.nf = layer.weight.shape
    else:
        layer.out_features, layer.in_features = layer.weight.shape
