"""Weights of 1 to 8 bits on evenly spaced levels; activations stay as they are.

Round to nearest, with a float32 scale for each row of a matrix or for groups of it, stored packed to the bit. It shows
how damage grows as bits go: 8 bits are `int8_weight_only` (but for the form of storage), 1 bit leaves signs.

Formula:
    symmetric, k ≥ 2:  s = max|w| / (2^(k−1) − 1) over a group,  q = round(w / s), halves to even,  w ≈ q s
    symmetric, k = 1:  s = mean|w|,  w ≈ s if w > 0, else −s
    asymmetric:        s = (max(w, 0) − min(w, 0)) / (2^k − 1),  z = round(−min(w, 0) / s)
                       q = clamp(round(w / s) + z, 0, 2^k − 1),  w ≈ (q − z) s
Paper: Krishnamoorthi, *Quantizing deep convolutional networks for efficient inference*, 2018; 1 bit: Rastegari et al.,
    *XNOR-Net*, ECCV 2016 (weights only).
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk and memory: k / 32 of float32 for what is in scope, and a scale for each row or group. Not latency.
Limits: At 3 bits and fewer most models break without training (`quantization_aware_training`). Embeddings are most of a
    small model: `embeddings: true` has them in scope, with one scale for each word, and a tied output layer with them.
Use:
    - {method: linear_quantization, bits: [8, 6, 4, 3, 2], embeddings: [false, true]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression._shared.weights import WeightsSettings, misfits_of_group
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
FORMS = Forms(gives="packed")


class Settings(WeightsSettings):
    """Settings of evenly spaced levels."""

    bits: int = Field(ge=1, le=8, description="bits of a weight")
    group: int | None = Field(
        None, ge=8, description="how many neighboring weights of a row share a scale; by default the whole row"
    )
    symmetric: bool = Field(True, description="levels around zero without a zero point")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A group that does not divide the rows of a model with this config.json."""
    return misfits_of_group(settings.group, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place; UserError where the group does not divide a row, or nothing in scope is dense."""
    from fairshrink.compression._shared.weights import chosen
    from fairshrink.compression.quantization._shared.packed import pack
    from fairshrink.models.stored_forms.packed import Levels

    return pack(cp, chosen(cp, settings), Levels(settings.bits, settings.group, settings.symmetric))
