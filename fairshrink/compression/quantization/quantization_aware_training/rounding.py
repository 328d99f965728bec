"""Layers that compute with rounded weights while the weights themselves are trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch.nn.utils import parametrize

from fairshrink.models.architecture.linear import output_dim
from fairshrink.models.stored_forms.packed import Levels, dequantize, quantize


class Rounding(torch.nn.Module):
    """Rounded weights with the gradient of weights that are not; ``transposed`` ones are [inputs, outputs]."""

    def __init__(self, levels: Levels, transposed: bool) -> None:
        super().__init__()
        self.levels, self.transposed = levels, transposed

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The values of the rounded weights."""
        rows = weight.detach().t() if self.transposed else weight.detach()
        new = dequantize(quantize(rows, self.levels), self.levels)
        # A sum, not `weight + (new - weight)`, whose value is not exactly that of the levels.
        return new.t() + (weight - weight.detach()) if self.transposed else new + (weight - weight.detach())


@contextlib.contextmanager
def rounded(model: torch.nn.Module, names: Sequence[str], levels: Levels) -> Iterator[None]:
    """A context in which layers compute with rounded weights; UserError where a group does not divide a row."""
    layers = [model.get_submodule(name) for name in names]
    for layer in layers:
        levels.groups(layer.weight.shape[1 - output_dim(layer)])
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Rounding(levels, output_dim(layer) == 1))
    try:
        yield
    finally:
        for layer in layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
