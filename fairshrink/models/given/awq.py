"""Linear layers of AWQ checkpoints (AutoAWQ, version "gemm").

``qweight`` int32 [in, out / 8] and ``qzeros`` int32 [groups, out / 8], packed along outputs; ``scales`` [groups, out]:

    W[o, i] = scales[g, o] x (q[i, o] - z[g, o]),  g = i // group_size

The eight numbers of a word are not in the order of the outputs: from the lowest bits on they belong to ORDER.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import torch

from fairshrink.models.given.unpacking import unpacked

PARTS = ("qweight", "qzeros", "scales")
BITS = 4
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def owners(names: Set[str]) -> list[str]:
    """The layers that are stored in this way."""
    return sorted(name.removesuffix(".qweight") for name in names if name.endswith(".qweight"))


def dense(parts: Mapping[str, torch.Tensor], said: Mapping[str, Any]) -> torch.Tensor:
    """The weights [out, in] in float32, each the product of a code and its scale."""
    codes, zeros, scales = _in_order(parts["qweight"]), _in_order(parts["qzeros"]), parts["scales"].float()
    group = len(codes) // len(scales)
    return ((codes - zeros.repeat_interleave(group, 0)).float() * scales.repeat_interleave(group, 0)).t()


def _in_order(words: torch.Tensor) -> torch.Tensor:
    """int32 [n, k] to int32 [n, 8 k] in the order of outputs."""
    places = [ORDER.index(output) for output in range(len(ORDER))]
    return unpacked(words, BITS).unflatten(1, (-1, len(ORDER)))[:, :, places].flatten(1)
