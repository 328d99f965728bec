"""Quantization-aware training: the baseline is trained further while its weights are rounded in every step.

The loss is that of the rounded weights; gradients pass the rounding as if it was not there (straight-through), to
weights in floating point, whose levels are found anew in each step. In the end the weights are rounded for good, and
stored packed like `linear_quantization`: the model is the one that the last step trained.

Formula:
    forward:   y = Q(W) x + b,  Q the rounding of `linear_quantization`
    backward:  ∂L/∂W := ∂L/∂Q(W)
Paper: Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*,
    CVPR 2018; straight-through gradients: Bengio, Léonard and Courville, 2013; on BERT: Zafrir et al., *Q8BERT*, 2019.
Cost: A fine-tuning of `epochs` epochs on the task's own examples, and a rounding of all weights in each step.
Saves: Disk and memory: bits / 32 of float32 for what is in scope, and a scale for each group. Not latency.
Limits: Only for tasks that are trained; it trains longer than the baseline was trained, so compare it with the control
    `trained_further` of as many epochs. Activations are not rounded, embeddings neither.
Use:
    - {method: quantization_aware_training, bits: [4, 3, 2], epochs: 1}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE, Scope
from fairshrink.compression._shared.weights import misfits_of_group
from fairshrink.contracts import Forms
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
TRAINS = True
FORMS = Forms(takes=frozenset({"baseline"}), gives="packed")


class Settings(BaseSettings):
    """Settings of quantization-aware training."""

    bits: int = Field(4, ge=1, le=8, description="bits of a weight")
    group: int | None = Field(
        None, ge=8, description="how many neighboring weights of a row share a scale; by default the whole row"
    )
    symmetric: bool = Field(True, description="levels around zero without a zero point")
    scope: Scope = Field("encoder", description=SCOPE)
    epochs: int = Field(1, ge=1, description="passes over the training examples, after the baseline's own")
    learning_rate: float | None = Field(None, gt=0, description="peak learning rate; by default the task's")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A group that does not divide the rows of a model with this config.json."""
    return misfits_of_group(settings.group, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Train and quantize in place; UserError for a task without training, and for a compressed ``cp``."""
    from fairshrink.compression._shared.weights import WeightsSettings, chosen
    from fairshrink.compression.quantization._shared.packed import pack
    from fairshrink.compression.quantization.quantization_aware_training.rounding import rounded
    from fairshrink.contracts import TrainedTask
    from fairshrink.data.examples import frames
    from fairshrink.errors import UserError
    from fairshrink.models.stored_forms.packed import Levels

    task = context.task_with_examples("quantization_aware_training")
    if not task.module.TRAINED or not isinstance(task.module, TrainedTask):
        raise UserError(f"tasks.{task.name}: quantization_aware_training cannot train a task of kind {task.kind}")
    if cp.structure:
        raise UserError("quantization_aware_training: apply it to an uncompressed baseline")
    rate = {} if settings.learning_rate is None else {"learning_rate": settings.learning_rate}
    training = task.settings.model_copy(update={"epochs": settings.epochs} | rate)
    levels = Levels(settings.bits, settings.group, settings.symmetric)
    names = chosen(cp, WeightsSettings(scope=settings.scope))
    with rounded(cp.model, names, levels):
        task.module.train(cp, frames(task), training, task.seed, context.log, state=context.state)
    return pack(cp, names, levels)
