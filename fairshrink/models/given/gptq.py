"""Linear layers of GPTQ checkpoints (AutoGPTQ, GPTQModel).

``qweight`` int32 [in x bits / 32, out], packed along inputs; ``scales`` [groups, out]; ``qzeros`` int32
[groups, out x bits / 32], packed along outputs; ``g_idx`` [in], the group of each input:

    W[o, i] = scales[g, o] x (q[i, o] - z[g, o]),  g = g_idx[i]

The usual form of these files stores z - 1 (`checkpoint_format` "gptq"), the other one z itself ("gptq_v2").
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import torch

from fairshrink.models.given.unpacking import unpacked

PARTS = ("qweight", "qzeros", "scales", "g_idx")


def owners(names: Set[str]) -> list[str]:
    """The layers that are stored in this way."""
    return sorted(name.removesuffix(".qweight") for name in names if name.endswith(".qweight"))


def dense(parts: Mapping[str, torch.Tensor], said: Mapping[str, Any]) -> torch.Tensor:
    """The weights [out, in] in float32, each the product of a code and its scale."""
    bits = int(said["bits"])
    codes = unpacked(parts["qweight"].t(), bits)
    less = 0 if said.get("checkpoint_format") == "gptq_v2" else 1
    zeros, scales = unpacked(parts["qzeros"], bits) + less, parts["scales"].float()
    inputs = codes.shape[1]
    groups = parts["g_idx"].long() if "g_idx" in parts else torch.arange(inputs) // (inputs // len(scales))
    return (codes - zeros[groups].t()).float() * scales[groups].t()
