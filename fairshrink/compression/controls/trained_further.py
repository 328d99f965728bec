"""Control: the dense baseline trained further on its own task, with nothing removed.

Nothing is compressed. Methods that train change a model by training as well as by compressing it; what this control
changes, training alone does. Give it the data and steps of the method that it is compared with.

Formula:
    the baseline, then `epochs` passes over its own training examples with a new schedule of the learning rate; moments
    of AdamW start from zero
Paper: None: a control of this project. Fine-tuning longer as a baseline for pruning: Renda, Frankle and Carbin,
    *Comparing Rewinding and Fine-tuning in Neural Network Pruning*, ICLR 2020.
Cost: A fine-tuning of `epochs` epochs.
Saves: Nothing.
Limits: Only for tasks that are trained. Settings that are not named here are the task's.
Use:
    - {method: trained_further, epochs: 1}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression.controls._shared.seeds import ABOUT
from fairshrink.contracts import TaskHead
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
TRAINS = True
STORED = True
HEADS: tuple[TaskHead, ...] = ("masked_lm", "regression", "classification")
OUTPUTS_ONLY = False


class Settings(BaseSettings):
    """Settings of training further."""

    epochs: int = Field(1, ge=1, description="passes over the training examples, after the baseline's own")
    learning_rate: float | None = Field(None, gt=0, description="peak learning rate; by default the task's")
    control_seed: int | None = Field(None, ge=0, description=f"{ABOUT}; if not given, the split's seed alone is used")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Train in place; UserError for a task without training, and for a compressed ``cp``."""
    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.compression.controls._shared.training import trained_task
    from fairshrink.data.examples import frames
    from fairshrink.errors import UserError

    task, module = trained_task(context, "trained_further")
    if cp.structure:
        raise UserError("trained_further: apply it to an uncompressed baseline")
    rate = {} if settings.learning_rate is None else {"learning_rate": settings.learning_rate}
    training = task.settings.model_copy(update={"epochs": settings.epochs} | rate)
    seed = task.seed if settings.control_seed is None else combined(task.seed, settings.control_seed)
    module.train(cp, frames(task), training, seed, context.log, state=context.state)
    return dataclasses.replace(cp, path=None)
