"""Attention heads: how many a model has, and their removal from its matrices.

The unit is an attention head or, where query heads share keys and values, a key and value head with its query heads.
A model without a unit computes what it computes if the unit's output is multiplied by 0 before the output projection.
Where that cannot be, removal is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import HEAD_ROLES, Block, blocks, family, head_outputs
from fairshrink.models.architecture.families import Family, refusals
from fairshrink.models.architecture.linear import LINEAR, cut


def head_units(model: torch.nn.Module) -> list[int]:
    """How many units each block has; UserError where heads cannot be removed."""
    found = blocks(model)
    for reason in refusals(model.config.to_dict(), "heads"):
        raise UserError(reason)
    return [block.kv_heads for block in found]


def keep_heads(model: torch.nn.Module, block: Block, units: Sequence[int]) -> None:
    """Keep these units of a block, numbered as they are now, in place."""
    names, own = family(model), torch.tensor(units)
    layers = (*block.attention_inputs, *block.positions, block.output)
    for name, layer in ((name, model.get_submodule(name)) for name in layers):
        if not isinstance(layer, LINEAR):
            raise UserError(f"{name} is a {type(layer).__name__}: remove heads before other compressions")
    group = block.n_heads // block.kv_heads
    heads = (own[:, None] * group + torch.arange(group)).flatten()
    outputs = {role: head_outputs(block, role)[heads if role == "query" else own].flatten() for role in HEAD_ROLES}
    if block.fused:
        cut(model.get_submodule(block.query), torch.cat(list(outputs.values())).sort().values, outputs=True)
    else:
        for role, name in zip(HEAD_ROLES, (block.query, block.key, block.value), strict=True):
            cut(model.get_submodule(name), outputs[role], outputs=True)
    dimensions = (heads[:, None] * block.head_dim + torch.arange(block.head_dim)).flatten()
    for name in block.positions:
        cut(model.get_submodule(name), dimensions, outputs=True)
    cut(model.get_submodule(block.output), dimensions, outputs=False)
    attention = model.get_submodule(block.attention)
    for name, mine in zip(names.norms, (heads, own), strict=bool(names.norms)):
        _keep_norms(attention, name, mine, block.head_dim)
    _count(attention, names, len(heads), len(own), len(dimensions))
    from fairshrink.models.architecture.per_head import keep

    keep(attention, heads.tolist())


def _keep_norms(attention: torch.nn.Module, name: str, heads: torch.Tensor, head_dim: int) -> None:
    """Keep the normalization of some heads, if there is one for each; one that all share stays as it is."""
    norm = dict(attention.named_children()).get(name)
    if norm is None:
        return
    if hasattr(norm, "norms"):
        norm.norms = torch.nn.ModuleList([norm.norms[head] for head in heads])
        norm.num_heads = len(heads)
    elif norm.weight.ndim == 2:
        norm.weight = torch.nn.Parameter(norm.weight.detach().index_select(0, heads.to(norm.weight.device)))
    elif norm.weight.shape != (head_dim,):
        raise UserError(f"{name} normalizes over all heads together, so that each head needs all: none can be removed")


def _count(attention: torch.nn.Module, names: Family, heads: int, shared: int, width: int) -> None:
    for attributes, number in ((names.counts, heads), (names.shared_counts, shared), (names.widths, width)):
        for attribute in attributes:
            setattr(attention, attribute, number)
