"""Recovery: what a compression left is trained again on the task, and what it removed stays removed.

A step of a chain. Weights that are zero stay zero, heads and layers that were removed are not there to come back; the
others are trained, in all layers or in the `layers` that are named. With `counterfactual` each text that has gendered
words is trained on a second time with these exchanged ("he" and "she", "father" and "mother"), by a list of our own.

Trained on the task's examples with its own settings, but for those that are named; a task without training (a causal
language model) is trained by its loss, the mean −log p(next token), with the defaults of training. What was stored in
bfloat16 is rounded to it again afterwards.

Formula:
    w ← AdamW step of the task's loss, then w ← 0 where w was 0
Paper: Han et al., *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015; Renda, Frankle
    and Carbin, *Comparing Rewinding and Fine-tuning in Neural Network Pruning*, ICLR 2020. Exchanged words: Lu et al.,
    *Gender Bias in Neural Natural Language Processing*, 2020.
Cost: A fine-tuning of `epochs` epochs.
Saves: Nothing more than what came before.
Limits: It trains, so what changes is not compression alone: the control `trained_further` with the same `epochs` (and
    `counterfactual`) says what training changes by itself. Every zero of a matrix counts as removed, also one by
    chance; a token's embedding that is zero as a whole does not. Names stay in counterfactual texts.
Use:
    - chain: [{method: magnitude_global, sparsity: [0.5, 0.7]}, {method: recovery, epochs: 1}]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairshrink.compression._shared.settings import FittingSettings, misfits_of_blocks
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FITS = True
FORMS = Forms(takes=frozenset({"dense", "factored"}))


class Settings(FittingSettings):
    """Settings of recovery."""


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A block that the model never had."""
    return misfits_of_blocks(settings.layers, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Train in place; UserError for a task without a loss, or a block that there is not."""
    from fairshrink.compression._shared.fitting import fit_to_task, zero_masks

    fit_to_task(cp, settings, context, "recovery", masks=zero_masks(cp.model))
    return dataclasses.replace(cp, path=None)
