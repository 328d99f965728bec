"""Removal of whole blocks: a model is then one of the same architecture with fewer layers, and its config says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.architecture.families import refusals

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def layer_count(model: torch.nn.Module) -> int:
    """How many blocks a model has; UserError where they cannot be removed."""
    for reason in refusals(model.config.to_dict(), "layers"):
        raise UserError(reason)
    return len(blocks(model))


def keep_layers(model: torch.nn.Module, kept: Sequence[int]) -> None:
    """Keep these blocks, numbered from 0 in the order of the model, in place; the first one is among them.

    Some architectures compute in their first block what all others use, hence it stays. ``model.config`` describes the
    smaller model, so that any program can load it. UserError where blocks cannot be removed.
    """
    total = layer_count(model)
    if not kept or kept[0] != 0 or list(kept) != sorted(set(kept)) or kept[-1] >= total:
        raise ValueError(f"layers {list(kept)} of {total}: the first, and others in their order")
    place = blocks(model)[0].name.rpartition(".")[0]
    found = model.get_submodule(place)
    left = [found[number] for number in kept]
    model.set_submodule(place, torch.nn.ModuleList(left))
    for number, block in enumerate(left):
        for module in block.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number
            if hasattr(module, "layer_id"):
                module.layer_id = number
    for config in _configs(model):
        _describe(config, kept)


def _configs(model: torch.nn.Module) -> Iterator[PreTrainedConfig]:
    """All configs that parts of a model look at, each once."""
    found = {
        id(config): config for module in model.modules() if (config := getattr(module, "config", None)) is not None
    }
    yield from found.values()


def _describe(config: PreTrainedConfig, kept: Sequence[int]) -> None:
    """Write the number of layers into a config, and what it says of each."""
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[number] for number in kept]
    if getattr(config, "no_rope_layers", None):
        config.no_rope_layers = [config.no_rope_layers[number] for number in kept]
    if getattr(config, "attention_layers", None):  # GPT-Neo, which writes the list in a form of its own
        config.attention_layers = [config.attention_layers[number] for number in kept]
        config.attention_types = [[list(config.attention_layers), 1]]
    config.num_hidden_layers = len(kept)
