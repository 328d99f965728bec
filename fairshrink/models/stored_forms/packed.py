"""Weights of 1 to 8 bits: codes packed to the bit, with a scale for each group of neighboring inputs of an output.

Description: {name of a linear layer or of the word embeddings: {"bits", "group": weights with one scale or null for a
whole row, "symmetric", "scaled": whether inputs have factors}}.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.linear import LINEAR
from fairshrink.models.stored_forms._shared.bits import pack, packed_width, unpack
from fairshrink.models.stored_forms._shared.coded import Coded, CodedEmbedding, CodedLinear, Shape, put

ORDER = 50


@dataclass(frozen=True)
class Levels:
    """Which numbers a weight can become: (code - zero) x scale, for codes of 0 to ``top``.

    Symmetric levels are the same on both sides of a zero: 2^bits - 1 of them, and with 1 bit -1 and 1 without zero.
    Others have 2^bits, and a zero point in each group, a code. ``group``: None for a whole row.
    """

    bits: int
    group: int | None
    symmetric: bool
    scaled: bool = False

    @property
    def top(self) -> int:
        """The largest code."""
        return 2**self.bits - (2 if self.symmetric and self.bits > 1 else 1)

    def groups(self, columns: int) -> int:
        """How many groups a row has; UserError where they do not come out even."""
        if self.group is None:
            return 1
        if columns % self.group:
            fitting = [str(each) for each in (16, 32, 64, 128, 256) if not columns % each] or ["the whole row"]
            raise UserError(
                f"groups of {self.group} weights do not divide rows of {columns}: write another `group`, here "
                f"{', '.join(fitting)}"
            )
        return columns // self.group


class _Packed(Coded):
    """Codes [rows, bytes] (uint8), scales [rows, groups], zero points (packed) and factors of inputs [columns]."""

    overhead = ("scales", "zeros", "factors")
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    factors: torch.Tensor

    def allocate(self, shape: Shape, levels: Levels) -> None:
        """Empty tensors of the right sizes."""
        self.levels, groups = levels, levels.groups(shape.columns)
        codes = torch.zeros(shape.rows, packed_width(shape.columns, levels.bits), dtype=torch.uint8)
        self.register_buffer("codes", codes)
        self.register_buffer("scales", torch.ones(shape.rows, groups))
        if not levels.symmetric:
            zeros = torch.zeros(shape.rows, packed_width(groups, levels.bits), dtype=torch.uint8)
            self.register_buffer("zeros", zeros)
        if levels.scaled:
            self.register_buffer("factors", torch.ones(shape.columns))

    def fill(self, rounded: Rounded, factors: torch.Tensor | None = None) -> None:
        """Take codes, scales and zero points, and the factors by which inputs' weights had been multiplied."""
        self.codes, self.scales = pack(rounded.codes, self.levels.bits), rounded.scales.float()
        if not self.levels.symmetric:
            self.zeros = pack(rounded.zeros, self.levels.bits)
        if factors is not None:
            self.factors = factors.float()

    def decode(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """The weights as float32 [rows, columns]: those of these rows [n], or all."""
        codes = self.codes if rows is None else self.codes[rows]
        scales = self.scales if rows is None else self.scales[rows]
        levels, columns = self.levels, self.shape.columns
        zeros: float | torch.Tensor = levels.top / 2
        if not levels.symmetric:
            packed = self.zeros if rows is None else self.zeros[rows]
            zeros = unpack(packed, levels.bits, scales.shape[1])[:, :, None].float()
        grouped = unpack(codes, levels.bits, columns).unflatten(1, (scales.shape[1], -1)).float()
        weights = ((grouped - zeros) * scales[:, :, None]).flatten(1)
        return weights / self.factors if levels.scaled else weights


class PackedLinear(_Packed, CodedLinear):
    """A linear layer of few bits per weight; products are computed in the arithmetic of the activations."""

    def __init__(self, shape: Shape, levels: Levels, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self.start(shape, bias)
        self.allocate(shape, levels)


class PackedEmbedding(_Packed, CodedEmbedding):
    """Word embeddings of few bits per weight; only the rows that a text needs are decoded."""

    def __init__(self, shape: Shape, levels: Levels, old: torch.nn.Embedding) -> None:
        super().__init__()
        self.start(shape, old)
        self.allocate(shape, levels)


@dataclass(frozen=True)
class Rounded:
    """Codes [rows, columns] and zero points [rows, groups] (uint8), scales [rows, groups] (float32)."""

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor


def apply(model: torch.nn.Module, description: dict[str, dict[str, Any]]) -> None:
    """Replace the named modules by empty packed ones, on the device that they are on."""
    for name, each in description.items():
        replace(model, name, Levels(**each))


def replace(model: torch.nn.Module, name: str, levels: Levels) -> _Packed:
    """Replace one module by an empty packed one, which is returned."""

    def make(old: torch.nn.Module, shape: Shape) -> _Packed:
        if isinstance(old, LINEAR):
            return PackedLinear(shape, levels, old.bias).to(old.weight.device)
        return PackedEmbedding(shape, levels, old).to(old.weight.device)

    new = put(model, name, make)
    if not isinstance(new, _Packed):
        raise TypeError(type(new).__name__)
    return new


def described(levels: Levels) -> dict[str, Any]:
    """What `apply` takes."""
    return asdict(levels)


def steps(values: torch.Tensor, levels: Levels) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales (float32) and zero points (float32) of rows [rows, columns], each [rows, groups].

    Symmetric: a group's largest magnitude is the outermost level; with 1 bit the scale is twice the mean magnitude.
    Otherwise the levels go from its smallest to its largest weight, zero included, and one of them is exactly zero. A
    broken model stays visibly broken: NaN is kept in the scale.
    """
    grouped = values.float().unflatten(1, (levels.groups(values.shape[1]), -1))
    if levels.symmetric:
        scales = 2 * grouped.abs().mean(2) if levels.bits == 1 else grouped.abs().amax(2) / (levels.top / 2)
        if levels.bits > 1:  # with 1 bit there is no level of zero but that of a zero scale
            scales = torch.where(scales == 0, torch.ones_like(scales), scales)
        return scales, torch.full_like(scales, levels.top / 2)
    low, high = grouped.amin(2).clamp(max=0), grouped.amax(2).clamp(min=0)
    scales = torch.where(high == low, torch.ones_like(high), (high - low) / levels.top)
    return scales, (-low / scales).round().clamp(0, levels.top)


def encode(values: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor, levels: Levels) -> torch.Tensor:
    """Codes (float32) of the nearest levels, halves to even; the three tensors have one shape or are expanded to it."""
    if levels.symmetric and levels.bits == 1:
        return (values > 0).float()
    return ((values / scales).round() + zeros).clamp(0, levels.top).nan_to_num(0.0)


def quantize(values: torch.Tensor, levels: Levels) -> Rounded:
    """Weights [rows, columns] rounded to the nearest levels."""
    scales, zeros = steps(values, levels)
    grouped = values.float().unflatten(1, (scales.shape[1], -1))
    codes = encode(grouped, scales[:, :, None], zeros[:, :, None], levels).flatten(1)
    return Rounded(codes.to(torch.uint8), scales, zeros.nan_to_num(0.0).to(torch.uint8))


def dequantize(rounded: Rounded, levels: Levels) -> torch.Tensor:
    """The weights that are meant: float32 [rows, columns]."""
    zeros = levels.top / 2 if levels.symmetric else rounded.zeros[:, :, None].float()
    grouped = rounded.codes.unflatten(1, (rounded.scales.shape[1], -1)).float()
    return ((grouped - zeros) * rounded.scales[:, :, None]).flatten(1)
