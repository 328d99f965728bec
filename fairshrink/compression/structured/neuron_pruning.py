"""Feed-forward neuron pruning: the neurons that add least to the outputs of feed-forward layers are removed.

A neuron is a unit between the two feed-forward layers of a block; in gated ones it is the same unit of gate and up. Its
rows and its column go, so that the matrices become smaller. How much a neuron adds is seen on training examples of the
task, in the model before anything is removed. By default each layer loses the same share; with `per_layer: false` the
neurons of all layers are ranked together, each layer's importances being divided by their l2 norm, and layers end up
with different numbers. Each layer keeps at least one neuron.

Formula:
    importance(n) = ‖a_n‖₂ · ‖W_down[:, n]‖₂, a_n being the neuron's activations over all calibration tokens
    removed: round(sparsity × N) of all N neurons, those of least importance (ties: the first ones)
Paper: Activations times outgoing weights as in Wanda, for whole columns as in An, Zhao, Yu, Tang and Wang,
    *Fluctuation-based Adaptive Structured Pruning for Large Language Models*, AAAI 2024.
Deviations: They take an activation's variance and put its mean into a bias; here its norm counts, and no bias is added.
Cost: Two forward passes over `calibration_items` examples. No training.
Saves: Disk, memory and latency: fewer parameters and less arithmetic.
Limits: One-shot: no training follows. `sparsity` counts neurons, not weights: compare with other methods by the ledger.
Use:
    - {method: neuron_pruning, sparsity: [0.25, 0.5], calibration_items: 64}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import CalibratedSettings

if TYPE_CHECKING:
    import numpy as np

    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True


class Settings(CalibratedSettings):
    """Settings of feed-forward neuron pruning."""

    sparsity: float = Field(ge=0, lt=1, description="share of the feed-forward neurons that are removed")
    per_layer: bool = Field(True, description="each layer loses the same share; false: all layers are ranked together")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Remove neurons in place; UserError without training examples, or after a compression that leaves codes."""
    import numpy as np

    from fairshrink.models.architecture.blocks import blocks
    from fairshrink.models.architecture.neurons import keep_neurons

    scores = _importance(cp, settings, context)
    left = _without_least(scores, settings)
    structure = dict(cp.structure.get("removed_neurons", {}))
    for number, (block, kept) in enumerate(zip(blocks(cp.model), left, strict=True)):
        if not kept.all():
            keep_neurons(cp.model, block, np.flatnonzero(kept).tolist())
            structure[str(number)] = int(kept.sum())
    context.log(f"neuron_pruning: {sum(int(each.sum()) for each in left)} of {sum(map(len, left))} kept")
    after = {**cp.structure, "removed_neurons": structure} if structure else cp.structure
    return dataclasses.replace(cp, path=None, structure=after)


def _importance(cp: Checkpoint, settings: Settings, context: Context) -> list[np.ndarray]:
    """For each layer [neurons] in float64."""
    from fairshrink.compression._shared.calibration import calibration_texts, walk
    from fairshrink.errors import UserError
    from fairshrink.models.architecture.blocks import blocks
    from fairshrink.models.architecture.linear import LINEAR, matrix

    names = [block.down for block in blocks(cp.model)]
    for name in names:
        if not isinstance(cp.model.get_submodule(name), LINEAR):
            raise UserError(f"{name} is not dense: remove neurons before other compressions")
    found = {}
    for stage in walk(cp, calibration_texts(cp, settings, context, "neuron_pruning"), names, {"squares"}):
        for each in stage:
            outgoing = matrix(each.layer).double().square().sum(0)
            found[each.name] = (each.inputs["squares"] * outgoing).sqrt().cpu().numpy()
    return [found[name] for name in names]


def _without_least(scores: list[np.ndarray], settings: Settings) -> list[np.ndarray]:
    """Which neurons stay: bool [neurons] for each layer."""
    import numpy as np

    from fairshrink.compression._shared.heads import layer_normalized, removable, without_least
    from fairshrink.compression._shared.selection import count

    alive = [np.ones(len(each), dtype=bool) for each in scores]
    if settings.per_layer:
        return [
            without_least([score], [own], min(count(settings.sparsity, len(own)), removable([own])))[0]
            for score, own in zip(scores, alive, strict=True)
        ]
    number = min(count(settings.sparsity, sum(map(len, alive))), removable(alive))
    return without_least(layer_normalized(scores), alive, number)
