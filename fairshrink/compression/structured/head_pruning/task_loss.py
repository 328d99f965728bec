"""The loss that a task minimizes, on some of its examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.contracts import LossTask
from fairshrink.data.examples import Task
from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.training.fit import Loss

if TYPE_CHECKING:
    from pandas import DataFrame


def task_loss(cp: Checkpoint, task: Task, frame: DataFrame) -> Loss:
    """The task's loss over the rows of ``frame``; UserError where its kind has none (similarity)."""
    if not isinstance(task.module, LossTask):
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no loss to take gradients of")
    return task.module.loss(cp, frame, task.settings)
