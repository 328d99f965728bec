"""The blocks of a model and the roles of their linear layers; scopes of linear layers; weights as matrices.

Names are those of the model in its checkpoint, so they differ with the task head ("bert.encoder…" under a classifier,
"encoder…" without one). Sizes are taken from the layers, not from the config, because attention heads may have been
removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch

from fairshrink.contracts import Scope
from fairshrink.errors import UserError
from fairshrink.models.architecture.families import FAMILIES, Family, Fused, refusals
from fairshrink.models.architecture.linear import LINEAR, output_dim, sizes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SCOPES: tuple[Scope, ...] = get_args(Scope)
HeadRole = Literal["query", "key", "value"]
HEAD_ROLES: tuple[HeadRole, ...] = get_args(HeadRole)


@dataclass(frozen=True)
class Block:
    """One transformer block: dotted names of its linear layers, and the shape of its attention.

    Roles that share a matrix have one name; ``fused`` says how query, key and value are in it, a ``gate`` is above
    ``up``. ``n_heads`` query heads share ``kv_heads`` key and value heads; both are the numbers after any removal of
    heads. ``head_dim``: width of one attention head. ``neurons``: inner width of the feed-forward part. ``uses``: how
    often a text passes through the block, more than once where layers share their weights. ``name``: the block's own.
    """

    name: str
    query: str
    key: str
    value: str
    output: str
    gate: str | None
    up: str
    down: str
    positions: tuple[str, ...]
    fused: Fused
    n_heads: int
    head_dim: int
    kv_heads: int
    neurons: int
    uses: int

    @property
    def feed_forward(self) -> tuple[str, ...]:
        """Names of the feed-forward layers."""
        return tuple(dict.fromkeys(name for name in (self.gate, self.up, self.down) if name))

    @property
    def attention_inputs(self) -> tuple[str, ...]:
        """Names of the layers that compute query, key and value."""
        return tuple(dict.fromkeys((self.query, self.key, self.value)))

    @property
    def linears(self) -> tuple[str, ...]:
        """All linear layers, attention first."""
        return (*self.attention_inputs, *self.positions, self.output, *self.feed_forward)

    @property
    def attention(self) -> str:
        """Name of the module that contains query, key and value."""
        return self.query.rpartition(".")[0]


def family(model: torch.nn.Module) -> Family:
    """The names of a model's architecture; UserError where it is not known, or has layers of other names."""
    return _blocks_and_names(model)[1]


def blocks(model: torch.nn.Module) -> list[Block]:
    """The blocks of a model in order, shared ones once; UserError for an unsupported architecture."""
    prefixes, names = _blocks_and_names(model)
    modules = dict(model.named_modules())
    return [_block(model, modules, prefix, names) for prefix in prefixes]


def prefixes(model: torch.nn.Module) -> list[str]:
    """Dotted names of the modules that are the blocks, in the order of `blocks`."""
    return list(_blocks_and_names(model)[0])


def linear_names(model: torch.nn.Module, scope: str) -> list[str]:
    """Names of the dense linear layers in a scope, in the model's order.

    "encoder": all in the blocks; "attention": query, key and value; "feed_forward"; "all": every one in the model,
    including those of the task head. Never embeddings, hence no decoder that shares its matrix with them.
    """
    if scope not in SCOPES:
        raise UserError(f"scope {scope!r}: choose one of {', '.join(SCOPES)}")
    if scope == "all":
        chosen = {name for name, _ in model.named_modules()}
    else:
        chosen = {name for block in blocks(model) for name in _in_scope(block, scope)}
    embeddings = {id(each.weight) for each in model.modules() if isinstance(each, torch.nn.Embedding)}
    return [
        name
        for name, module in model.named_modules()
        if name in chosen and isinstance(module, LINEAR) and id(module.weight) not in embeddings
    ]


def matrices(model: torch.nn.Module, scope: str) -> list[torch.Tensor]:
    """The weights of each matrix in a scope, as views in the layout in which they are stored.

    Query, key and value are three matrices, gate and up two, also where an architecture stores them as one.
    """
    split = {name: block for block in blocks(model) for name in (block.query, block.up)}
    found = []
    for name in linear_names(model, scope):
        layer = model.get_submodule(name)
        weight, dim = layer.weight.detach(), output_dim(layer)
        block = split.get(name)
        if block and block.fused and name == block.query:
            found += [_of_role(block, weight, dim, role) for role in HEAD_ROLES]
        elif block and name == block.gate == block.up:
            found += weight.chunk(2, dim)
        else:
            found.append(weight)
    return found


def head_outputs(block: Block, role: HeadRole) -> torch.Tensor:
    """Which outputs of its matrix a role has: [heads, head_dim], query heads or key and value heads."""
    heads = block.n_heads if role == "query" else block.kv_heads
    if not block.fused:
        return torch.arange(heads * block.head_dim).view(heads, -1)
    width = block.head_dim * (block.n_heads + 2 * block.kv_heads)
    return _of_role(block, torch.arange(width), 0, role).reshape(heads, -1)


def neuron_outputs(block: Block, role: Literal["gate", "up"]) -> torch.Tensor:
    """Which output of its matrix is that of each neuron: [neurons]."""
    return torch.arange(block.neurons) + (block.neurons if role == "up" and block.gate == block.up else 0)


def multiply_adds(model: torch.nn.Module, outside: bool) -> int:
    """Multiply-adds per token of the linear layers of the blocks, and of all others with ``outside``.

    Layers that do not multiply by one matrix say how many they need: ``multiply_adds``.
    Projections of relative positions are not counted, since they are applied once per text.
    """
    uses = {name: block.uses for block in blocks(model) for name in block.linears}
    uses |= {name: 0 for block in blocks(model) for name in block.positions}
    return sum(
        getattr(module, "multiply_adds", size[0] * size[1]) * uses.get(name, int(outside))
        for name, module in model.named_modules()
        if (size := sizes(module))
    )


def _of_role(block: Block, values: torch.Tensor, dim: int, role: HeadRole) -> torch.Tensor:
    """The part of a fused matrix, or of numbers of its outputs, that belongs to a role; a view."""
    number = HEAD_ROLES.index(role)
    if block.fused == "per_head":
        return values.unflatten(dim, (block.n_heads, 3, block.head_dim)).select(dim + 1, number)
    lengths = [block.head_dim * heads for heads in (block.n_heads, block.kv_heads, block.kv_heads)]
    return values.split(lengths, dim)[number]


def _in_scope(block: Block, scope: str) -> tuple[str, ...]:
    if scope == "encoder":
        return block.linears
    return block.attention_inputs if scope == "attention" else block.feed_forward


def _blocks_and_names(model: torch.nn.Module) -> tuple[list[str], Family]:
    """Dotted names of the blocks in order, and the names of the parts of each."""
    config = getattr(model, "config", None)
    if config is None:
        raise UserError(f"{type(model).__name__}: not a model of transformers; its layers are not known to fairshrink")
    for reason in refusals({"model_type": config.model_type}):
        raise UserError(reason)
    modules = dict(model.named_modules())
    base = next(name for name, module in modules.items() if module is model.base_model)
    for names in FAMILIES[config.model_type]:
        path = re.escape(f"{base}.{names.blocks}".lstrip(".")).replace(r"\*", r"(\d+)")
        matches = [match for name in modules if (match := re.fullmatch(path, name))]
        prefixes = [match[0] for match in sorted(matches, key=lambda match: [int(n) for n in match.groups()])]
        if prefixes and all(_fits(modules, prefix, names) for prefix in prefixes):
            return prefixes, names
    raise UserError(
        f"{type(model).__name__}: this variant of the architecture {config.model_type} has layers that are not known "
        "to fairshrink"
    )


def _fits(modules: dict[str, torch.nn.Module], prefix: str, names: Family) -> bool:
    """Whether a block has all parts of these names, and no layers that multiply by a matrix besides."""
    parts = {names.query, names.key, names.value, names.output, names.gate, names.up, names.down} - {""}
    known = tuple(f"{prefix}.{part}." for part in (*parts, *names.positions))
    inside = [name for name, module in modules.items() if name.startswith(f"{prefix}.") and sizes(module)]
    return all(f"{prefix}.{part}" in modules for part in parts) and all(f"{name}.".startswith(known) for name in inside)


def _block(model: torch.nn.Module, modules: dict[str, torch.nn.Module], prefix: str, names: Family) -> Block:
    config = model.config
    n_heads = config.num_attention_heads
    head_dim = (
        getattr(config, "head_dim", None)
        or getattr(config, "attention_head_size", None)
        or config.hidden_size // n_heads
    )
    group = n_heads // (getattr(config, "num_key_value_heads", None) or n_heads)
    width = (sizes(modules[f"{prefix}.{names.query}"]) or (0, 0))[1]
    kv_heads = width // (head_dim * (group + 2 if names.fused else group))
    return Block(
        name=prefix,
        query=f"{prefix}.{names.query}",
        key=f"{prefix}.{names.key}",
        value=f"{prefix}.{names.value}",
        output=f"{prefix}.{names.output}",
        gate=f"{prefix}.{names.gate}" if names.gate else None,
        up=f"{prefix}.{names.up}",
        down=f"{prefix}.{names.down}",
        positions=tuple(name for part in names.positions if (name := f"{prefix}.{part}") in modules),
        fused=names.fused,
        n_heads=kv_heads * group,
        head_dim=head_dim,
        kv_heads=kv_heads,
        neurons=(sizes(modules[f"{prefix}.{names.down}"]) or (0, 0))[0],
        uses=_uses(config, prefix),
    )


def _uses(config: PreTrainedConfig, prefix: str) -> int:
    """How many of the layers that a text passes through are this block: one, unless ALBERT's groups share them."""
    group = re.search(r"albert_layer_groups\.(\d+)", prefix)
    if group is None:
        return 1
    layers, groups = config.num_hidden_layers, config.num_hidden_groups
    return sum(int(layer / (layers / groups)) == int(group[1]) for layer in range(layers))
