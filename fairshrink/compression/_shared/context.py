"""What a compression is given besides the checkpoint and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairshrink.errors import UserError

if TYPE_CHECKING:
    import torch

    from fairshrink.data.examples import Task
    from fairshrink.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Context:
    """The surroundings of one compression.

    ``seed``: of everything random in the method. ``task``: given where the method has ``NEEDS_TASK``. ``source()``: the
    pretrained model with the task's head, as fine-tuning started from it. ``log``: takes one line of progress.
    ``on_round(round, checkpoint, masks)``: called by iterative methods after each reset, before training goes on.
    """

    seed: int
    task: Task | None
    source: Callable[[], Checkpoint]
    log: Callable[[str], None]
    on_round: Callable[[int, Checkpoint, dict[str, torch.Tensor]], None] | None = None

    def task_with_examples(self, method: str) -> Task:
        """The task; UserError if there is none or it has nothing to train on."""
        if self.task is None:
            raise UserError(f"{method} needs a task with examples: give it one under `tasks`")
        if "train" not in self.task.tables:
            raise UserError(f"{method} needs examples: give tasks.{self.task.name} a `train:` table")
        return self.task
