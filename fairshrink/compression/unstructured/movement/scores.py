"""Layers that compute with the weights of the highest scores, while weights and scores are trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn.utils import parametrize

from fairshrink.compression._shared.selection import count


class Scored(torch.nn.Module):
    """Weights of which some are masked, with a score [n] for each, whose gradient is the weight's times the weight.

    Scores are a vector, which no weight decay pulls toward zero.
    """

    kept: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.scores = torch.nn.Parameter(torch.zeros(weight.numel(), device=weight.device))
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool), persistent=False)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The kept weights; adds nothing to their values."""
        passed = (self.scores - self.scores.detach()).view_as(weight)
        return torch.where(self.kept, weight, 0.0) + passed * weight.detach()

    @torch.no_grad()
    def choose(self, sparsity: float) -> None:
        """Remove the round(sparsity x n) weights with the lowest scores, the first ones where scores are equal."""
        number = count(sparsity, self.scores.numel())
        self.kept.fill_(True)
        if not number:
            return
        highest = self.scores.kthvalue(number).values
        removed = self.scores < highest
        equal = (self.scores == highest).nonzero()[: number - int(removed.sum()), 0]
        removed[equal] = True
        self.kept.view(-1)[removed] = False


def sparsity_at(share: float, sparsity: float, dense: float, final: float) -> float:
    """The sparsity after this share of the steps: 0, then rising with the cube, then all of it."""
    rising = min(max((share - dense) / (1 - dense - final), 0.0), 1.0)
    return sparsity * (1 - (1 - rising) ** 3)


@contextlib.contextmanager
def scored(model: torch.nn.Module, names: Sequence[str]) -> Iterator[Callable[[float], None]]:
    """A context in which layers have scores; the function that it gives chooses, afterwards what it chose is zero."""
    layers = [model.get_submodule(name) for name in names]
    masks = [Scored(layer.weight.detach()) for layer in layers]
    for layer, mask in zip(layers, masks, strict=True):
        trains = layer.weight.requires_grad
        parametrize.register_parametrization(layer, "weight", mask)
        mask.scores.requires_grad_(trains)

    def choose(sparsity: float) -> None:
        for mask in masks:
            mask.choose(sparsity)

    try:
        yield choose
    finally:
        for layer in layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
