"""Linear layers of bitsandbytes checkpoints.

8 bits: ``weight`` int8 [out, in] and ``SCB`` [out], the largest magnitude of each row:

    W[o, i] = weight[o, i] x SCB[o] / 127

4 bits (nf4, fp4): ``weight`` uint8, two numbers a byte, the first in its high half; ``weight.quant_map`` [16], what
each number stands for; ``weight.absmax``, the scale of each block in order: w = quant_map[q] x absmax[block]. With
double quantization absmax is uint8 itself, and scales are nested_quant_map[absmax] x nested_absmax[block] +
nested_offset. Sizes are in ``weight.quant_state.bitsandbytes__nf4`` (or fp4), bytes of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

import torch

STATE = "weight.quant_state.bitsandbytes__"
_NESTED = ("weight.nested_absmax", "weight.nested_quant_map")
PARTS = (
    *("weight", "SCB", "weight_format", "weight.absmax", "weight.quant_map"),
    *_NESTED,
    *(f"{STATE}{kind}" for kind in ("nf4", "fp4")),
)
LARGEST = 127


def owners(names: Set[str]) -> list[str]:
    """The layers that are stored in this way."""
    marks = (".SCB", ".weight.absmax")
    return sorted(name.removesuffix(mark) for name in names for mark in marks if name.endswith(mark))


def dense(parts: Mapping[str, torch.Tensor], said: Mapping[str, Any]) -> torch.Tensor:
    """The weights [out, in] in float32, each the product of what a code stands for and its scale."""
    if int(parts.get("weight_format", torch.zeros(1)).max()):
        raise ValueError("its 8-bit weights are in the order of one kind of GPU")
    if "SCB" in parts:
        return parts["weight"].float() * (parts["SCB"].float() / LARGEST)[:, None]
    state = next(value for name, value in parts.items() if name.startswith(STATE))
    sizes = json.loads(bytes(state.tolist()))
    scales = parts["weight.absmax"]
    if "nested_blocksize" in sizes:
        nested, scaled = (parts[name].float() for name in _NESTED)
        blocks = torch.arange(scales.numel()) // sizes["nested_blocksize"]
        scales = scaled[scales.long()] * nested[blocks] + sizes["nested_offset"]
    packed = parts["weight"].flatten()
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten().long()
    values = parts["weight.quant_map"].float()[codes]
    rows, columns = sizes["shape"]
    blocks = torch.arange(rows * columns) // sizes["blocksize"]
    return (values[: rows * columns] * scales.float()[blocks]).view(rows, columns)
