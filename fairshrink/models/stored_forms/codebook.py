"""Weights that share few values: for each weight the index of its value in the codebook of its tensor.

Description: {name of a linear layer or of the word embeddings: size of its codebook}. Indices are packed to the bit.
"""

from __future__ import annotations

import torch

from fairshrink.models.architecture.linear import LINEAR
from fairshrink.models.stored_forms._shared.bits import pack, packed_width, unpack
from fairshrink.models.stored_forms._shared.coded import Coded, CodedEmbedding, CodedLinear, Shape, put

ORDER = 50


def bits_of(clusters: int) -> int:
    """Bits of an index into a codebook."""
    return max(1, (clusters - 1).bit_length())


class _Shared(Coded):
    """``codes`` [rows, bytes] (uint8): packed indices into ``codebook`` [clusters] (float32)."""

    overhead = ("codebook",)
    codes: torch.Tensor
    codebook: torch.Tensor

    def allocate(self, shape: Shape, clusters: int) -> None:
        """Empty tensors of the right sizes."""
        self.bits = bits_of(clusters)
        codes = torch.zeros(shape.rows, packed_width(shape.columns, self.bits), dtype=torch.uint8)
        self.register_buffer("codes", codes)
        self.register_buffer("codebook", torch.zeros(clusters))

    def fill(self, indices: torch.Tensor, codebook: torch.Tensor) -> None:
        """Take an index [rows, columns] for each weight, and the values."""
        self.codes, self.codebook = pack(indices, self.bits), codebook.float()

    def decode(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The weights as float32 [rows, columns]: those of these rows [n], or all."""
        codes = self.codes if rows is None else self.codes[rows]
        return self.codebook[unpack(codes, self.bits, self.shape.columns).int()]


class SharedLinear(_Shared, CodedLinear):
    """A linear layer whose weights share few values; products are computed in the arithmetic of the activations."""

    def __init__(self, shape: Shape, clusters: int, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self.start(shape, bias)
        self.allocate(shape, clusters)


class SharedEmbedding(_Shared, CodedEmbedding):
    """Word embeddings that share few values; only the rows that a text needs are decoded."""

    def __init__(self, shape: Shape, clusters: int, old: torch.nn.Embedding) -> None:
        super().__init__()
        self.start(shape, old)
        self.allocate(shape, clusters)


def apply(model: torch.nn.Module, description: dict[str, int]) -> None:
    """Replace the named modules by empty ones with codebooks of these sizes."""
    for name, clusters in description.items():
        replace(model, name, clusters)


def replace(model: torch.nn.Module, name: str, clusters: int) -> _Shared:
    """Replace one module by an empty one with a codebook, which is returned."""

    def make(old: torch.nn.Module, shape: Shape) -> _Shared:
        if isinstance(old, LINEAR):
            return SharedLinear(shape, clusters, old.bias).to(old.weight.device)
        return SharedEmbedding(shape, clusters, old).to(old.weight.device)

    new = put(model, name, make)
    if not isinstance(new, _Shared):
        raise TypeError(type(new).__name__)
    return new
