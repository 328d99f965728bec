"""Cross-layer tying: blocks share the weights and biases of their linear layers, which are stored once.

Normalization stays each block's own. Without training afterwards (`recovery` in a chain, which trains the shared
weights as such) little is left of a model: the method is the start of a smaller model, not its end.

Formula:
    sequence: block i uses the weights of block share × ⌊i / share⌋;  cycle: of block i mod (blocks / share)
    the shared weights are the mean of those of its blocks, or the first's
Paper: Lan et al., *ALBERT: A Lite BERT for Self-supervised Learning of Language Representations*, ICLR 2020; sequence
    and cycle: Takase and Kiyono, *Lessons on Parameter Sharing across Layers in Transformers*, SustaiNLP 2023.
Cost: None.
Saves: Disk and memory, in proportion to the parameters of the blocks. Not latency: each block is computed.
Limits: Blocks have to be of one shape, and their number a multiple of `share`. Architectures that share blocks by
    themselves (ALBERT) have nothing to tie.
Use:
    - {method: layer_tying, share: [2, 3]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
_BLOCKS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


class Settings(BaseSettings):
    """Settings of cross-layer tying."""

    share: int = Field(2, ge=1, description="how many blocks have the same weights; 1 changes nothing")
    order: Literal["sequence", "cycle"] = Field("sequence", description="neighboring blocks, or every n-th")
    start: Literal["mean", "first"] = Field("mean", description="the shared weights: the blocks' mean, or the first's")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A number that does not divide the blocks of a model with this config.json."""
    number = next(filter(None, map(config.get, _BLOCKS)), None)
    if not isinstance(number, int) or number % settings.share == 0:
        return []
    fitting = ", ".join(str(each) for each in range(1, number + 1) if number % each == 0)
    return [("share", f"{settings.share} does not divide its {number} blocks", f"one of {fitting}, or other `models`")]


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Tie in place; UserError where blocks differ in shape, are no multiple of `share`, or are not dense."""
    import dataclasses

    import torch

    from fairshrink.errors import UserError
    from fairshrink.models.architecture.blocks import blocks
    from fairshrink.models.architecture.linear import LINEAR
    from fairshrink.models.stored_forms import tied_layers

    every = blocks(cp.model)
    if len(every) % settings.share:
        raise UserError(f"layer_tying: {len(every)} blocks cannot be shared by {settings.share}: write a divisor of it")
    distinct = len(every) // settings.share
    description: dict[str, str] = {}
    for number in range(distinct):
        start, step = (number, distinct) if settings.order == "cycle" else (number * settings.share, 1)
        mine = [every[start + step * i].linears for i in range(settings.share)]
        for names in zip(*mine, strict=True):
            layers = [cp.model.get_submodule(name) for name in names]
            if not all(isinstance(each, LINEAR) for each in layers) or cp.structure.get("tied_layers"):
                raise UserError("layer_tying: a layer is not dense, or tied already; tie before anything else")
            if len({each.weight.shape for each in layers}) > 1:
                raise UserError(f"layer_tying: {' and '.join(names)} are not of one size, so they cannot be tied")
            if settings.start == "mean" and len(layers) > 1:
                for part in dict(layers[0].named_parameters(recurse=False)):
                    values = [each.get_parameter(part).detach() for each in layers]
                    with torch.no_grad():
                        layers[0].get_parameter(part).copy_(torch.stack(values).mean(0))
            description |= dict.fromkeys(names[1:], names[0])
    tied_layers.apply(cp.model, description)
    structure = {**cp.structure, **({"tied_layers": description} if description else {})}
    return dataclasses.replace(cp, path=None, structure=structure)
