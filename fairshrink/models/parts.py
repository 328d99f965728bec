"""The parts of a model by what they do, so that each has a file of its own in a checkpoint.

A compression leaves most parts of a model as they are: pruned heads leave the feed-forward layers, 8-bit layers leave
the word embeddings, which are half of a small model's bytes. The file of a part that was left alone has the same bytes
in the baseline and in all that is made from it (under frozen embeddings in other baselines too), and a store that knows
files by their contents, as DVC's does, keeps it once. Which part a tensor belongs to depends on the architecture alone,
never on what was done to the model.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch

from fairshrink.models.architecture.blocks import blocks

Part = Literal["embeddings", "attention", "feed_forward", "rest"]
PARTS: tuple[Part, ...] = get_args(Part)


def parts(model: torch.nn.Module) -> dict[str, Part]:
    """The part of each entry of a model's state, by name.

    "embeddings": of words, also where they are the output layer's matrix; "attention" and "feed_forward": the linear
    layers of the blocks, with their biases and whatever is stored in place of their weights; "rest": positions,
    normalization, heads. UserError for an unsupported architecture.
    """
    roles: dict[str, Part] = dict.fromkeys(_word_embeddings(model), "embeddings")
    for block in blocks(model):
        for name in block.linears:
            roles[name] = "feed_forward" if name in block.feed_forward else "attention"
    return {name: _nearest(name, roles) for name in model.state_dict()}


def _nearest(name: str, roles: dict[str, Part]) -> Part:
    """The role of the module that an entry is in, at whatever depth."""
    owner = name
    while owner:
        owner = owner.rpartition(".")[0]
        if owner in roles:
            return roles[owner]
    return "rest"


def _word_embeddings(model: torch.nn.Module) -> list[str]:
    """All names of the module, and of those that use its weights as embeddings too (T5)."""
    wanted = model.get_input_embeddings()
    weights = getattr(wanted, "_parameters", {}).get("weight")
    return [
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if module is wanted or (isinstance(module, torch.nn.Embedding) and module.weight is weights)
    ]
