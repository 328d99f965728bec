"""Attention of few positions over their texts, without the keys and values of these.

A head's logit is q · (W x + b): the same as (Wᵀ q) · x, but for q · b, which is equal for all positions, so that the
softmax does not see it. And what it reads is the sum of p (V x + c), which is V (sum of p x) + c. So two products for
each query stand for two for each token of its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fairshrink.models.inference.packed_rows import Run

WORTHWHILE = 0.5
"""Up to this share of the operations: they are in small products, which run at a part of the rate of large ones."""


@dataclass(frozen=True)
class Heads:
    """Layers that compute keys and values, the number of heads, and what logits are multiplied by."""

    key: torch.nn.Linear
    value: torch.nn.Linear
    count: int
    scaling: float

    def less_work(self, queries: int, runs: Sequence[Run]) -> bool:
        """Whether so many queries are fewer operations so, than keys and values of all tokens."""
        width, tokens = self.key.in_features, sum(run.rows * run.length for run in runs)
        compared = self.count * max(run.length for run in runs)
        return queries * (width + compared) <= WORTHWHILE * tokens * width


def heads(key: torch.nn.Module, value: torch.nn.Module, count: int, scaling: float | None) -> Heads | None:
    """None for layers that are anything but dense ones in float32."""
    if not isinstance(key, torch.nn.Linear) or not isinstance(value, torch.nn.Linear) or scaling is None:
        return None
    dense = all(type(each) is torch.nn.Linear and each.weight.dtype == torch.float32 for each in (key, value))
    if not dense or torch.is_autocast_enabled("cpu"):
        return None
    return Heads(key, value, count, scaling)


def read(
    by: Heads, hidden: torch.Tensor, queries: torch.Tensor, places: torch.Tensor, runs: Sequence[Run]
) -> torch.Tensor:
    """What the heads read ``[queries, width of all heads]`` at ``places`` of the row ``hidden`` ``[tokens, width]``."""
    wide = by.count, queries.shape[1] // by.count
    asked = queries.unflatten(1, wide).transpose(0, 1) @ by.key.weight.unflatten(0, wide)
    asked = asked.transpose(0, 1) * by.scaling  # [queries, heads, width]
    means = torch.empty_like(asked)
    for run in runs:
        mine = ((places >= run.start) & (places < run.start + run.rows * run.length)).nonzero()[:, 0]
        row = (places[mine] - run.start) // run.length
        texts = hidden[run.start : run.start + run.rows * run.length].unflatten(0, (run.rows, run.length))[row]
        means[mine] = (asked[mine] @ texts.transpose(1, 2)).softmax(2) @ texts
    values = means.transpose(0, 1) @ by.value.weight.unflatten(0, wide).transpose(1, 2)
    found = values.transpose(0, 1).flatten(1)
    return found if by.value.bias is None else found + by.value.bias
