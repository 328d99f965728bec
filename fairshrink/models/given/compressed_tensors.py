"""Linear layers of compressed-tensors checkpoints (llm-compressor): the formats of `FORMATS`.

``weight_scale`` [out, groups], [out, 1] or [1]; ``weight_zero_point`` of the same shape where codes are not symmetric:

    W[o, i] = weight_scale[o, g] x (q[o, i] - zero_point[o, g])

pack-quantized: ``weight_packed`` int32 [out, in x bits / 32] holds q + 2^(bits - 1), packed along inputs, and its zero
points along outputs; int-quantized: ``weight`` int8; float-quantized: ``weight`` in float8. ``weight_g_idx`` [in] is
the group of each input where these are not contiguous.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import torch

from fairshrink.models.given.unpacking import unpacked

PARTS = (
    *("weight", "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"),
    *("input_scale", "input_zero_point"),
)


def owners(names: Set[str]) -> list[str]:
    """The layers that are stored in this way."""
    return sorted(name.removesuffix(".weight_scale") for name in names if name.endswith(".weight_scale"))


def dense(parts: Mapping[str, torch.Tensor], said: Mapping[str, Any]) -> torch.Tensor:
    """The weights [out, in] in float32, each the product of a code and its scale."""
    scales, zeros = parts["weight_scale"].float(), parts.get("weight_zero_point")
    scales = scales.reshape(1, 1) if scales.numel() == 1 else scales.flatten(1) if scales.ndim > 1 else scales[:, None]
    if "weight_packed" in parts:
        bits = int(next(iter(said["config_groups"].values()))["weights"]["num_bits"])
        rows, columns = map(int, parts["weight_shape"])
        codes = (unpacked(parts["weight_packed"], bits) - 2 ** (bits - 1))[:rows, :columns].float()
        if zeros is not None and zeros.dtype == torch.int32:
            zeros = (unpacked(zeros.t(), bits) - 2 ** (bits - 1)).t()[:rows]
    else:
        codes = parts["weight"].float()
    inputs, groups = codes.shape[1], scales.shape[1]
    at = parts["weight_g_idx"].long() if "weight_g_idx" in parts else torch.arange(inputs) // -(-inputs // groups)
    shift = 0.0 if zeros is None else zeros.float().reshape(scales.shape)[:, at]
    return (codes - shift) * scales[:, at]
