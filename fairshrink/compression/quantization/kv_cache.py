"""Cache of keys and values in few bits: what a causal model keeps of each token it has read is rounded.

Weights stay as they are: it is a property of how the model computes, and is part of its checkpoint, so every metric,
task score and continuation is computed with it. For each token and head the key has 2^bits levels of its own, evenly
between its smallest and its largest number, and so has the value. Keys are rounded before their positions are applied.

Formula:
    for each token and head, x its key or value:  l = min x,  s = (max x − min x) / (2^bits − 1), both in float16
    x̂ = l + s × clamp(round((x − l) / s), 0, 2^bits − 1)
Paper: Sheng et al., *FlexGen*, ICML 2023; Liu et al., *KIVI*, ICML 2024, which has keys by channel; before positions:
    Hooper et al., *KVQuant*, NeurIPS 2024.
Deviations: Every token is rounded, the one that is being read too; KIVI keeps the last ones as they are.
Cost: Nothing is computed beforehand.
Saves: The memory of the cache, which the ledger counts by token (`cache_bytes_per_token`): bits for each number, and 32
    for each key and each value of a head. No disk, no memory of weights. Here numbers are rounded, not packed.
Limits: Causal language models alone. The last step of a chain.
Use:
    - {method: kv_cache, bits: [8, 4, 2]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression.quantization._shared.cache import LAST, encoders
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
FORMS = LAST


class Settings(BaseSettings):
    """Settings of a cache in few bits."""

    bits: int = Field(ge=1, le=8, description="bits of a number of a key or value")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A model without a cache."""
    return encoders(config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Let the layers round in place; UserError for other models than causal language models."""
    import dataclasses

    from fairshrink.compression.quantization._shared.cache import check
    from fairshrink.models.stored_forms import kv_cache

    check(cp, "kv_cache")
    description = {"bits": settings.bits, "keys": "token"}
    kv_cache.apply(cp.model, description)
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "kv_cache": description})
