"""Wanda: of each output's weights those go whose magnitude times the size of their input is smallest.

A small weight on a large input counts as much as a large weight on a small one. Layers are pruned in the order in which
texts pass through them, with the inputs that the pruned layers before them give; those of one block see the block as it
was. No weight that stays is changed. `pattern: "2:4"` removes 2 of each 4 consecutive inputs of an output.

Formula:
    S_ij = |W_ij| · ‖x_j‖₂, the norm of input j over all calibration tokens
    in each row of W, of n weights:  W_ij ← 0 for the round(sparsity × n) smallest S_ij (ties: the first ones)
Paper: Sun, Liu, Bair and Kolter, *A Simple and Effective Pruning Approach for Large Language Models*, ICLR 2024.
Deviations: They calibrate on general text (C4); here it is training examples of the task, never of its test.
Cost: Two forward passes over `calibration_items` examples, and sorting. No training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same; 2:4 is faster on
    GPUs with sparse kernels, which are not used here.
Limits: One-shot: no training follows. All outputs become equally sparse.
Use:
    - {method: wanda, sparsity: [0.5], calibration_items: 64}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairshrink.compression._shared.patterns import PatternSettings, misfits_of_pattern
from fairshrink.compression._shared.settings import CalibratedSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True


class Settings(CalibratedSettings, PatternSettings):
    """Settings of Wanda."""


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A pattern that does not divide the rows of a model with this config.json."""
    return misfits_of_pattern(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place; UserError without training examples, or where a pattern does not divide a layer's inputs."""
    from fairshrink.compression._shared.calibration import calibration_texts, walk
    from fairshrink.compression._shared.patterns import removed
    from fairshrink.compression._shared.pruning import dense_names
    from fairshrink.models.architecture.linear import matrix

    names = dense_names(cp, settings.scope)
    texts = calibration_texts(cp, settings, context, "wanda")
    for stage in walk(cp, texts, names, {"squares"}):
        for each in stage:
            weight = matrix(each.layer)
            scores = weight.float().abs() * each.inputs["squares"].sqrt().float()
            weight.masked_fill_(removed(scores, settings.sparsity, settings.pattern), 0.0)
        context.log(f"wanda: {len(stage)} layers up to {stage[-1].name}")
    return dataclasses.replace(cp, path=None)
