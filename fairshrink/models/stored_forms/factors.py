"""Linear layers as a product of two narrower matrices, computed one after the other.

Description: {name of a linear layer: rank}. The factors are parameters: they can be trained, and are stored in the
model's floating-point type.
"""

from __future__ import annotations

import torch

from fairshrink.models.stored_forms._shared.coded import CodedLinear, Shape, put

ORDER = 40


class FactoredLinear(CodedLinear):
    """A linear layer with the weights ``expand`` [out, rank] times ``reduce`` [rank, in]."""

    def __init__(self, shape: Shape, rank: int, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self.start(shape, bias)
        self.reduce = torch.nn.Parameter(torch.zeros(rank, shape.columns))
        self.expand = torch.nn.Parameter(torch.zeros(shape.rows, rank))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for each input."""
        return self.reduce.numel() + self.expand.numel()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, in] to […, out], by way of […, rank]."""
        return torch.nn.functional.linear(torch.nn.functional.linear(x, self.reduce), self.expand, self.bias)

    def decode(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The product as [out, in], or some of its rows."""
        expand = self.expand if rows is None else self.expand[rows]
        return (expand @ self.reduce).float()

    def counts(self) -> dict[str, tuple[int, int]]:
        """Nothing: the entries of the factors are parameters as others are."""
        return {}


def apply(model: torch.nn.Module, description: dict[str, int]) -> None:
    """Replace the named layers by empty products."""
    for name, rank in description.items():
        replace(model, name, rank)


def replace(model: torch.nn.Module, name: str, rank: int) -> FactoredLinear:
    """Replace one layer by an empty product, which is returned."""
    new = put(model, name, lambda old, shape: FactoredLinear(shape, rank, old.bias).to(old.weight.device))
    if not isinstance(new, FactoredLinear):
        raise TypeError(type(new).__name__)
    return new
