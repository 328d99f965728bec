"""The roles of a model's linear layers, found by the names that the architectures give them.

Supported: BERT and RoBERTa, and Llama-like decoders (Llama, Mistral, Qwen 2, SmolLM2). Names are those of the model in
its checkpoint, so they differ with the task head ("bert.encoder…" under a classifier, "encoder…" without one). Sizes
are taken from the layers, not from the config, because attention heads may have been removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, get_args

import torch

from fairshrink.contracts import Scope
from fairshrink.errors import UserError

SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class Block:
    """One transformer block: dotted names of its linear layers, and the shape of its attention.

    ``n_heads`` query heads share ``kv_heads`` key and value heads; both are the numbers after any removal of heads.
    ``head_dim``: width of one attention head.
    """

    query: str
    key: str
    value: str
    output: str
    feed_forward: tuple[str, ...]
    n_heads: int
    head_dim: int
    kv_heads: int

    @property
    def linears(self) -> tuple[str, ...]:
        """All linear layers, attention first."""
        return (self.query, self.key, self.value, self.output, *self.feed_forward)

    @property
    def attention(self) -> str:
        """Name of the module that contains query, key and value."""
        return self.query.rpartition(".")[0]


class _Pattern(NamedTuple):
    query: str
    key: str
    value: str
    output: str
    feed_forward: tuple[str, ...]


_PATTERNS = (
    _Pattern(
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        ("intermediate.dense", "output.dense"),
    ),
    _Pattern(
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    ),
)


def blocks(model: torch.nn.Module) -> list[Block]:
    """The blocks of a model in order; UserError for an unsupported architecture."""
    modules = dict(model.named_modules())
    for pattern in _PATTERNS:
        matches = [re.fullmatch(rf"((?:.+\.)?layers?\.(\d+))\.{re.escape(pattern.query)}", name) for name in modules]
        prefixes = [match[1] for match in sorted(filter(None, matches), key=lambda match: int(match[2]))]
        names = [f"{prefix}.{part}" for prefix in prefixes for part in (*pattern[:4], *pattern.feed_forward)]
        if prefixes and all(name in modules for name in names):
            return [_block(model, modules, prefix, pattern) for prefix in prefixes]
    raise UserError(
        f"{type(model).__name__}: the attention and feed-forward layers of this architecture are not known to "
        "fairshrink; use a BERT, RoBERTa or Llama-like model"
    )


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
        if name in chosen and isinstance(module, torch.nn.Linear) and id(module.weight) not in embeddings
    ]


def _in_scope(block: Block, scope: str) -> tuple[str, ...]:
    if scope == "encoder":
        return block.linears
    return (block.query, block.key, block.value) if scope == "attention" else block.feed_forward


def _block(model: torch.nn.Module, modules: dict[str, torch.nn.Module], prefix: str, pattern: _Pattern) -> Block:
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    query, key, value, output = (f"{prefix}.{part}" for part in pattern[:4])
    return Block(
        query=query,
        key=key,
        value=value,
        output=output,
        feed_forward=tuple(f"{prefix}.{part}" for part in pattern.feed_forward),
        n_heads=modules[query].out_features // head_dim,
        head_dim=head_dim,
        kv_heads=modules[key].out_features // head_dim,
    )
