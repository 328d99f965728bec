"""4-bit weights: groups of neighboring weights of a row are rounded to 16 levels; activations stay as they are.

Round to nearest, with a float32 scale for each group of an output channel, and a 4-bit zero point where levels are not
symmetric. Two codes are stored in a byte. Products are computed in the arithmetic of the activations.

Formula:
    asymmetric (16 levels):  s = (max(w, 0) − min(w, 0)) / 15 over a group,  z = round(−min(w, 0) / s)
                             q = clamp(round(w / s) + z, 0, 15),  w ≈ (q − z) s
    symmetric (15 levels):   s = max|w| / 7,  q = round(w / s),  w ≈ q s;  halves to even  (error at most s / 2)
    bits per weight:         4 + 36 / group, symmetric 4 + 32 / group
Paper: Round to nearest in groups: the baseline of Frantar et al., *GPTQ*, ICLR 2023; on the size of groups Dettmers and
    Zettlemoyer, *The case for 4-bit precision*, ICML 2023.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk and memory: with groups of 64 a seventh of float32, for what is in scope. Not latency: codes are turned into
    floats at each use.
Limits: The group has to divide the rows (576 of SmolLM2-135M: 32 or 64). Embeddings are most of a small model; without
    `embeddings: true` they keep their size. A tied output layer uses the same codes, so its logits are rounded too.
Use:
    - {method: int4_weight_only, group: [32, 128], embeddings: [false, true]}
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
    """Settings of 4-bit weights."""

    group: int = Field(64, ge=8, description="how many neighboring weights of a row share a scale; divides the rows")
    symmetric: bool = Field(False, description="15 levels around zero without a zero point, instead of 16")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A group that does not divide the rows of a model with this config.json."""
    return misfits_of_group(settings.group, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place; UserError where the group does not divide a row, or nothing in scope is dense."""
    from fairshrink.compression._shared.weights import chosen
    from fairshrink.compression.quantization._shared.packed import pack
    from fairshrink.models.stored_forms.packed import Levels

    return pack(cp, chosen(cp, settings), Levels(4, settings.group, settings.symmetric))
