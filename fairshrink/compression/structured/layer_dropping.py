"""Layer dropping: whole transformer blocks are removed, the last ones or every second one.

What is left is a model of the same architecture with fewer layers, which any program loads. `order: top` removes the
last `layers` blocks; `order: alternate` the last one, the third from the end and so on. The first block always stays.

Formula:
    top: blocks L − layers + 1 … L go, of L
    alternate: blocks L, L − 2, L − 4, … go, `layers` of them, at most half of all
Paper: Sajjad, Dalvi, Durrani and Nakov, *On the effect of dropping layers of pre-trained transformer models*, Computer
    Speech & Language 77, 2023.
Deviations: They fine-tune afterwards; here it is one-shot, and a chain can add recovery.
Cost: None. No data, no training.
Saves: Disk, memory and latency: fewer layers.
Limits: The choice looks neither at weights nor at data: `redundant_layers` looks at data.
Use:
    - {method: layer_dropping, layers: [1, 2], order: top}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fairshrink.compression._shared.layers import LayersSettings, misfits_of_layers
from fairshrink.contracts import Part

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
REMOVES: Part = "layers"


class Settings(LayersSettings):
    """Settings of layer dropping."""

    order: Literal["top", "alternate"] = Field("top", description="the last blocks, or every second from the last on")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """More layers than a model with this config.json can lose."""
    return misfits_of_layers(settings.layers, config, half=settings.order == "alternate")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Remove blocks in place; UserError if so many cannot go."""
    from fairshrink.compression._shared.layers import without_layers

    step = 2 if settings.order == "alternate" else 1
    return without_layers(cp, lambda total: range(total - 1, 0, -step)[: settings.layers], settings.layers)
