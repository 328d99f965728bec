"""Removed attention heads: query, key, value and output matrices without the heads' rows and columns.

Description: {"<layer>": [kept units, as numbered in the original model]}, for layers with removed heads. A unit is an
attention head, or, with grouped-query attention, a key and value head with its query heads.
"""

from __future__ import annotations

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture import Block, blocks

ORDER = 10


def apply(model: torch.nn.Module, kept: dict[str, list[int]]) -> None:
    """Keep these units of a model, in place; units are numbered as in the model now, other layers are not changed."""
    layers = blocks(model)
    for layer, units in kept.items():
        _keep(model, layers[int(layer)], units)


def _keep(model: torch.nn.Module, block: Block, units: list[int]) -> None:
    queries = block.head_dim * (block.n_heads // block.kv_heads)
    _cut(model, block.query, _positions(units, queries), dim=0)
    _cut(model, block.key, _positions(units, block.head_dim), dim=0)
    _cut(model, block.value, _positions(units, block.head_dim), dim=0)
    _cut(model, block.output, _positions(units, queries), dim=1)
    attention = model.get_submodule(block.attention)
    if hasattr(attention, "all_head_size"):
        attention.num_attention_heads = len(units) * block.n_heads // block.kv_heads
        attention.all_head_size = len(units) * queries


def _positions(units: list[int], width: int) -> torch.Tensor:
    return (torch.tensor(units)[:, None] * width + torch.arange(width)).flatten()


def _cut(model: torch.nn.Module, name: str, positions: torch.Tensor, dim: int) -> None:
    """Keep some rows (``dim`` 0, with their biases) or columns (1) of a linear layer."""
    linear = model.get_submodule(name)
    if not isinstance(linear, torch.nn.Linear):
        raise UserError(f"{name} is a {type(linear).__name__}: remove heads before other compressions")
    positions = positions.to(linear.weight.device)
    linear.weight = torch.nn.Parameter(linear.weight.detach().index_select(dim, positions))
    if dim == 0 and linear.bias is not None:
        linear.bias = torch.nn.Parameter(linear.bias.detach().index_select(0, positions))
    linear.out_features, linear.in_features = linear.weight.shape


def renumbered(before: dict[str, list[int]], kept: dict[str, list[int]]) -> dict[str, list[int]]:
    """The description of a model that was described by ``before`` and then kept these of its remaining units."""
    now = {layer: [before[layer][i] for i in units] if layer in before else units for layer, units in kept.items()}
    return {**before, **now}
