"""Movement pruning: weights that training moves toward zero are removed, while it trains.

Every weight in scope has a score, 0 at first. In each step the model computes with the weights whose scores are
highest in their matrix; weights and scores are trained together. A score rises when a step would move its weight away
from zero, and falls when it would move it toward zero; removed weights keep their values and have scores that go on,
so that they can come back. How many are removed grows with the cube of the time that has passed, and stays constant
at the end.

It starts from the pretrained model, as fine-tuning did, or from the fine-tuned baseline (`start`).

Formula:
    forward:   y = (W ⊙ M) x,  M = 1 for the n − round(s × n) highest scores of the n of a matrix
    backward:  ∂L/∂W = ∂L/∂(W ⊙ M) ⊙ M,   ∂L/∂S = ∂L/∂(W ⊙ M) ⊙ W   (the choice of M is passed straight through)
    s(t) = sparsity × (1 − (1 − (t − dense) / (1 − dense − final))³),  t the share of steps taken; within 0 and sparsity
Paper: Sanh, Wolf and Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, NeurIPS 2020: hard movement pruning
    with Top_v in each matrix.
Deviations: Scores have the learning rate of the weights (the paper: 100 to 1,000 times theirs). Only their order in a
    matrix counts, they start at 0, and the steps of AdamW do not depend on the size of gradients: a factor changes
    nothing.
Cost: A fine-tuning of `epochs` epochs, with three numbers more for each weight in scope (a score and its moments).
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. Memory and
    latency stay those of dense matrices.
Limits: It trains: compare it with the control `trained_further` of as many epochs. With few steps scores are noise;
    the paper trains for 6 to 10 epochs. The soft variant, with a threshold for scores, is not here. A fused matrix of
    query, key and value counts as one. With `layers` only these blocks are trained and pruned.
Use:
    - {method: movement, sparsity: [0.5, 0.85], epochs: 3}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from fairshrink.compression._shared.settings import SCOPE, FittingSettings, Scope, misfits_of_blocks
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FITS = True
FORMS = Forms(takes=frozenset({"baseline"}), gives="dense")


class Settings(FittingSettings):
    """Settings of movement pruning."""

    sparsity: float = Field(ge=0, lt=1, description="share of the weights of each matrix in scope that become zero")
    scope: Scope = Field("encoder", description=SCOPE)
    start: Literal["pretrained", "baseline"] = Field(
        "pretrained", description="the model before it was fine-tuned, with a new task head, or the fine-tuned baseline"
    )
    dense: float = Field(0.1, ge=0, lt=1, description="share of the steps before anything is removed")
    final: float = Field(0.3, ge=0, lt=1, description="share of the steps at the end with all of it removed")

    @model_validator(mode="after")
    def _leaves_time(self) -> Self:
        if self.dense + self.final >= 1:
            raise ValueError("`dense` and `final` leave no steps in between; write shares that add up to less than 1")
        return self


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A block that the model does not have."""
    return misfits_of_blocks(settings.layers, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Train and prune; UserError for a task without a loss, and for a compressed ``cp``."""
    from fairshrink.compression._shared.fitting import fit_to_task
    from fairshrink.compression._shared.pruning import dense_names
    from fairshrink.compression.unstructured.movement.scores import scored, sparsity_at
    from fairshrink.errors import UserError
    from fairshrink.models.architecture.blocks import prefixes

    context.task_with_examples("movement")
    if cp.structure:
        raise UserError("movement: apply it to an uncompressed baseline")
    device, stored = cp.device, cp.dtype
    if settings.start == "pretrained":
        cp = dataclasses.replace(context.source(), dtype=stored)
        cp.model.to(device)
    chosen = tuple(f"{name}." for at, name in enumerate(prefixes(cp.model)) if at in settings.layers)
    names = [each for each in dense_names(cp, settings.scope) if not chosen or each.startswith(chosen)]
    with scored(cp.model, names) as choose:

        def on_step(done: int, steps: int) -> None:
            choose(sparsity_at(done / steps, settings.sparsity, settings.dense, settings.final))

        fit_to_task(cp, settings, context, "movement", on_step=on_step)
    return dataclasses.replace(cp, path=None)
