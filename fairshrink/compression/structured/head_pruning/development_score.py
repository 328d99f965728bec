"""One number, the higher the better, for how well a checkpoint does its task on development examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.data.examples import Task
from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pandas import DataFrame


def dev_score(cp: Checkpoint, frame: DataFrame, task: Task) -> float:
    """Accuracy (labels), Pearson correlation (numbers), or geometric mean probability per token (language models).

    UserError if there are no development examples or scores of the task's kind say nothing of this sort.
    """
    if not hasattr(task.settings, "dev_share"):
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no development examples to score")
    if not len(frame):
        raise UserError(f"tasks.{task.name}.dev_share: no development examples to score; write a share such as 0.1")
    return summary(task.module.score(cp, frame, task.settings), task)


def summary(items: DataFrame, task: Task) -> float:
    """The number from per-item scores of a task; a constant predictor has correlation 0."""
    if {"predicted", "label"} <= set(items):
        return float((items["predicted"] == items["label"]).mean())
    if {"prediction", "label"} <= set(items):
        first, second = items["prediction"].to_numpy(float), items["label"].to_numpy(float)
        return float(np.corrcoef(first, second)[0, 1]) if np.ptp(first) and np.ptp(second) else 0.0
    if {"nll", "tokens"} <= set(items):
        return float(np.exp(-items["nll"].sum() / items["tokens"].sum()))
    raise UserError(f"tasks.{task.name}: {task.kind} gives no score that a threshold could be set on")
