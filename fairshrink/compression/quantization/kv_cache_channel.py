"""Cache of keys and values in few bits, keys by channel: the levels of each channel of the keys are known beforehand.

Some channels of keys are large in every token, so that levels by token are wasted on them. Here each channel has 2^bits
levels between the smallest and the largest number that it has in calibration texts of the task; numbers beyond become
the first or last level. Values have levels by token, as in `kv_cache`; weights stay as they are.

Formula:
    for each channel c of the keys, over all tokens of calibration texts:  l_c = min, s_c = (max − min) / (2^bits − 1)
    x̂_c = l_c + s_c × clamp(round((x_c − l_c) / s_c), 0, 2^bits − 1);  values as in `kv_cache`
Paper: Hooper et al., *KVQuant*, NeurIPS 2024 (levels from calibration, before positions are applied; without its
    non-uniform levels and outliers); keys by channel and values by token: Liu et al., *KIVI*, ICML 2024.
Cost: A forward pass over the calibration texts.
Saves: As `kv_cache`, less the 32 bits for each key of a head.
Limits: Causal language models alone. The last step of a chain. Texts unlike those of the task may have keys beyond
    the levels.
Use:
    - {method: kv_cache_channel, bits: [4, 2]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression._shared.settings import CalibratedSettings
from fairshrink.compression.quantization._shared.cache import LAST, encoders

if TYPE_CHECKING:
    import torch

    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FORMS = LAST


class Settings(CalibratedSettings):
    """Settings of a cache in few bits, keys by channel."""

    bits: int = Field(ge=1, le=8, description="bits of a number of a key or value")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A model without a cache."""
    return encoders(config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Let the layers round in place; UserError for other models than causal language models, or without examples."""
    import dataclasses

    from fairshrink.compression._shared.calibration import calibration_texts, in_batches
    from fairshrink.compression.quantization._shared.cache import check
    from fairshrink.models.architecture.blocks import blocks
    from fairshrink.models.stored_forms import kv_cache

    check(cp, "kv_cache_channel")
    texts = calibration_texts(cp, settings, context, "kv_cache_channel")
    names = list(dict.fromkeys(block.key for block in blocks(cp.model)))
    ranges = _ranges(cp, in_batches(cp, [text for text in texts if len(text.ids)]), names)
    description = {"bits": settings.bits, "keys": "channel"}
    kv_cache.apply(cp.model, description)
    for name, (lowest, highest) in ranges.items():
        low, scale = kv_cache.levels(lowest, highest, settings.bits)
        layer = cp.model.get_submodule(name)
        layer.get_buffer(kv_cache.LOW).copy_(low)
        layer.get_buffer(kv_cache.SCALE).copy_(scale)
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "kv_cache": description})


def _ranges(cp: Checkpoint, batches: list[dict[str, torch.Tensor]], names: list[str]) -> dict[str, Any]:
    """The smallest and the largest output [n] of each channel of these layers over all tokens, without padding."""
    import torch

    from fairshrink.models.inference.forward import hidden_states

    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    real = torch.zeros(0)

    def seen(name: str, outputs: torch.Tensor) -> None:
        values = outputs[real].float()
        low, high = values.amin(0), values.amax(0)
        before = found.get(name, (low, high))
        found[name] = torch.minimum(before[0], low), torch.maximum(before[1], high)

    hooks = [
        cp.model.get_submodule(name).register_forward_hook(
            lambda layer, inputs, outputs, name=name: seen(name, outputs)
        )
        for name in names
    ]
    try:
        with torch.inference_mode():
            for inputs in batches:
                real = inputs["attention_mask"].bool()
                hidden_states(cp.model.eval(), inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (low.clone(), high.clone()) for name, (low, high) in found.items()}
