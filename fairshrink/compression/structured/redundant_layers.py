"""Removal of redundant layers: the transformer blocks go that change the hidden states of their input least.

How much a block changes is seen on training examples of the task, in the model before anything is removed. What is left
is a model of the same architecture with fewer layers, which any program loads. The first block always stays.

Formula:
    redundancy(block) = mean over tokens of cos(input of the block, output of the block)
    removed: the `layers` blocks of greatest redundancy (ties: the later ones)
Paper: Men et al., *ShortGPT: Layers in Large Language Models are More Redundant Than You Expect*, 2024, who call
    1 − redundancy a block's influence.
Deviations: They measure on general text; here it is training examples of the task, never of its test.
Cost: A forward pass over `calibration_items` examples. No training.
Saves: Disk, memory and latency: fewer layers.
Limits: One-shot: no training follows; layers that replace each other are all called redundant.
Use:
    - {method: redundant_layers, layers: [1, 2], calibration_items: 64}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairshrink.compression._shared.layers import LayersSettings, misfits_of_layers
from fairshrink.compression._shared.settings import CalibratedSettings
from fairshrink.contracts import Part

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
REMOVES: Part = "layers"


class Settings(CalibratedSettings, LayersSettings):
    """Settings of the removal of redundant layers."""


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """More layers than a model with this config.json can lose."""
    return misfits_of_layers(settings.layers, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Remove blocks in place; UserError if so many cannot go, or without training examples."""
    from fairshrink.compression._shared.calibration import calibration_texts
    from fairshrink.compression._shared.layers import without_layers
    from fairshrink.compression._shared.similarity import block_similarities

    texts = calibration_texts(cp, settings, context, "redundant_layers")

    def most_redundant(total: int) -> list[int]:
        found = block_similarities(cp, texts)
        context.log("redundant_layers: " + ", ".join(f"{each:.3f}" for each in found))
        return sorted(range(1, total), key=lambda number: (-found[number], -number))[: settings.layers]

    return without_layers(cp, most_redundant, settings.layers)
