"""Iterative magnitude pruning with rewinding: lottery tickets.

Train from θ₀, remove the smallest weights, rewind the others to their values at the start, train again, and so on. All
remaining weights (and those out of scope: embeddings, biases, normalization, task head) are rewound to θ₀, the
pretrained model with the task's new head from which fine-tuning started, or to θ_k, the weights after `rewind_step`
steps of that fine-tuning, together with the learning-rate schedule. The last step is training with the mask, so the
result is a trained sparse model.

The baseline is θ₀ trained, so the first training is not repeated. Tasks without training are rejected.

Formula:
    after round r:  round((1 − (1 − sparsity)^(r / rounds)) × N) of the N weights in scope are zero, one threshold
    after the last round:  round(sparsity × N)
Paper: Frankle and Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019; rewinding to θ_k: Frankle et al., *Linear Mode
    Connectivity and the Lottery Ticket Hypothesis*, ICML 2020; on BERT: Chen et al., *The Lottery Ticket Hypothesis for
    Pre-trained BERT Networks*, NeurIPS 2020 (who remove 10 % of what is left in each round: 7 rounds for 0.5, 22 for
    0.9).
Cost: `rounds` fine-tunings for each sparsity.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same.
Limits: The optimizer's moments start from zero after each reset.
Use:
    - {method: iterative_magnitude, sparsity: [0.5], rounds: 7}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import ScopedSparsitySettings
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
TRAINS = True
FORMS = Forms(takes=frozenset({"baseline"}))


class Settings(ScopedSparsitySettings):
    """Settings of iterative magnitude pruning."""

    rounds: int = Field(5, ge=1, description="how often weights are removed and the rest is reset and trained")
    rewind_step: int = Field(
        0, ge=0, description="reset to the weights after this many training steps; 0 is before training"
    )


def schedule(sparsity: float, rounds: int) -> list[float]:
    """The sparsity after each round: each removes the same share of the remaining weights; the last is ``sparsity``."""
    return [1 - (1 - sparsity) ** (done / rounds) for done in range(1, rounds)] + [sparsity]


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """A trained sparse model; ``cp`` gives the first magnitudes and is not changed.

    UserError for a task that does not train, a compressed ``cp``, whose training did not start from θ₀, or a
    ``rewind_step`` after the last step.
    """
    from fairshrink.compression.unstructured.iterative_magnitude.rewinding import PrunedTraining
    from fairshrink.contracts import TrainedTask
    from fairshrink.errors import UserError

    task = context.task_with_examples("iterative_magnitude")
    if not task.module.TRAINED or not isinstance(task.module, TrainedTask):
        raise UserError(f"tasks.{task.name}: iterative_magnitude cannot train a task of kind {task.kind}")
    if cp.structure:
        raise UserError("iterative_magnitude: apply it to an uncompressed baseline")
    training = PrunedTraining(context.source(), task.module, task, settings.rewind_step, context.log)
    training.checkpoint.model.to(cp.device)
    start = training.early_weights()
    training.checkpoint.model.load_state_dict(cp.model.state_dict())
    masks = training.full_masks(settings.scope)
    for done, sparsity in enumerate(schedule(settings.sparsity, settings.rounds), start=1):
        context.log(f"round {done}/{settings.rounds}: sparsity {sparsity:.4f}")
        masks = training.prune(masks, sparsity)
        training.reset(start, masks)
        if context.on_round:
            context.on_round(done, training.checkpoint, masks)
        training.train(masks)
    return dataclasses.replace(training.checkpoint, path=None)
