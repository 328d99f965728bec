"""Keys and values of causal models rounded to few bits, as a cache of keys and values would store them.

Description: {"bits", "keys": "token" | "channel"}. Weights are those of the model: outputs of the layers that compute
keys and values are rounded, whatever form these layers have. Keys are rounded before their positions are applied, which
then happens when they are read. What is rounded depends on one token alone, so a pass over a whole text computes what
reading it token by token with such a cache computes.
"""

from __future__ import annotations

from typing import Any

import torch

from fairshrink.models.architecture.blocks import Block, blocks, head_outputs

ORDER = 90
LOW, SCALE = "cache_low", "cache_scale"
"""Buffers of a layer that computes keys, where their levels are known beforehand: one number for each channel."""
SCALE_BITS = 16


class CacheRounding:
    """A hook that rounds the outputs ``channels`` [heads, head_dim] of a layer; ``fixed``: by levels that it holds."""

    def __init__(self, channels: torch.Tensor, bits: int, fixed: bool) -> None:
        self.channels, self.bits, self.fixed = channels, bits, fixed

    def __call__(self, layer: torch.nn.Module, inputs: Any, outputs: torch.Tensor) -> torch.Tensor:
        """All outputs […, n], those of the channels rounded."""
        channels = self.channels.to(outputs.device)
        values = outputs[..., channels].float()
        if self.fixed:
            low, scale = layer.get_buffer(LOW)[channels], layer.get_buffer(SCALE)[channels]
        else:
            low, scale = levels(values.amin(-1, keepdim=True), values.amax(-1, keepdim=True), self.bits)
        rounded = outputs.clone()
        rounded[..., channels] = nearest(values, low, scale, self.bits).to(outputs.dtype)
        return rounded


def levels(lowest: torch.Tensor, highest: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The lowest level and the distance of 2^bits levels between two numbers, both as float16 stores them."""
    distance = (highest - lowest) / (2**bits - 1)
    return lowest.half().float(), torch.where(distance == 0, torch.ones_like(distance), distance).half().float()


def nearest(values: torch.Tensor, low: torch.Tensor, scale: torch.Tensor, bits: int) -> torch.Tensor:
    """The levels nearest to values; values beyond the first or last level become that, and NaN stays."""
    return ((values - low) / scale).round().clamp(0, 2**bits - 1) * scale + low


def apply(model: torch.nn.Module, description: dict[str, Any]) -> None:
    """Let the layers of all blocks that compute keys and values round them; levels of channels are empty."""
    fixed = description["keys"] == "channel"
    for block in blocks(model):
        key, value = model.get_submodule(block.key), model.get_submodule(block.value)
        channels = head_outputs(block, "key")
        if fixed:
            width = int(max(head_outputs(block, role).max() for role in _roles(block))) + 1
            device = next(model.parameters()).device
            hold(key, torch.zeros(width, device=device), torch.ones(width, device=device))
        key.register_forward_hook(CacheRounding(channels, description["bits"], fixed))
        value.register_forward_hook(CacheRounding(head_outputs(block, "value"), description["bits"], False))


def hold(layer: torch.nn.Module, low: torch.Tensor, scale: torch.Tensor) -> None:
    """Give a layer the levels of its outputs [n], which are stored with it and are no weights of the model."""
    layer.register_buffer(LOW, low)
    layer.register_buffer(SCALE, scale)
    layer.overhead = (*getattr(layer, "overhead", ()), LOW, SCALE)


def bits_per_token(model: torch.nn.Module, description: dict[str, Any] | None, stored: int) -> int:
    """Bits of a token's keys and values in all layers, scales and all; ``stored``: bits of a number without rounding.

    Levels that are known beforehand are not stored for each token.
    """
    total = 0
    for block in blocks(model):
        numbers = 2 * block.kv_heads * block.head_dim
        if description is None:
            total += numbers * stored * block.uses
            continue
        vectors = block.kv_heads * (1 if description["keys"] == "channel" else 2)
        total += (numbers * description["bits"] + vectors * 2 * SCALE_BITS) * block.uses
    return total


def _roles(block: Block) -> tuple[Any, ...]:
    return ("query", "key", "value") if block.fused else ("key",)
