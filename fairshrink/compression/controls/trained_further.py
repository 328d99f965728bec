"""Control: the dense baseline trained further on its own task, with nothing removed.

Nothing is compressed. Methods that train change a model by training as well as by compressing it; what this control
changes, training alone does. Give it the data and steps of the method that it is compared with.

Formula:
    the baseline, then `epochs` passes over the training examples with a new schedule of the learning rate; moments of
    AdamW start from zero
Paper: None: a control of this project. Fine-tuning longer as a baseline for pruning: Renda, Frankle and Carbin,
    *Comparing Rewinding and Fine-tuning in Neural Network Pruning*, ICLR 2020.
Cost: A fine-tuning of `epochs` epochs.
Saves: Nothing.
Limits: Settings that are not named here are the task's, or the defaults of training where the task has none (a causal
    language model, which is trained by the mean −log p(next token)).
Use:
    - {method: trained_further, epochs: 1}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import FittingSettings
from fairshrink.compression.controls._shared.seeds import ABOUT
from fairshrink.contracts import TaskHead

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FITS = True
STORED = True
HEADS: tuple[TaskHead, ...] = ("masked_lm", "causal_lm", "regression", "classification")
OUTPUTS_ONLY = False


class Settings(FittingSettings):
    """Settings of training further."""

    control_seed: int | None = Field(None, ge=0, description=f"{ABOUT}; if not given, the split's seed alone is used")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Train in place; UserError for a task without a loss, and for a compressed ``cp``."""
    from fairshrink.compression._shared.fitting import fit_to_task
    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.errors import UserError

    if cp.structure:
        raise UserError("trained_further: apply it to an uncompressed baseline")
    task = context.task_with_examples("trained_further")
    seed = None if settings.control_seed is None else combined(task.seed, settings.control_seed)
    fit_to_task(cp, settings, context, "trained_further", seed=seed)
    return dataclasses.replace(cp, path=None)
