"""What controls that train have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairshrink.contracts import Context, TrainedTask
from fairshrink.errors import UserError

if TYPE_CHECKING:
    from fairshrink.data.examples import Task


def trained_task(context: Context, method: str) -> tuple[Task, TrainedTask[Any]]:
    """The task and its kind, which trains; UserError for a kind that does not, or without examples."""
    task = context.task_with_examples(method)
    if not task.module.TRAINED or not isinstance(task.module, TrainedTask):
        raise UserError(f"tasks.{task.name}: {method} cannot train a task of kind {task.kind}")
    return task, task.module
