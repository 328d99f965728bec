"""Control: a constant predictor, which says of every input what is said of the training examples on the whole.

Nothing is compressed. It is the best that can be done without reading the input, so a task score at its level means
that a model has learned nothing but how often each label occurs, and a metric of bias must not find any in it.

Formula:
    regression: the mean of the training labels; classification: logits log((count of the label + 1) / (n + labels)), so
    that the commonest label is predicted, with its frequency as its probability
Paper: None: the majority baseline, a standard reference.
Cost: Seconds. Training labels are counted, nothing is trained.
Saves: Nothing.
Limits: For baselines that predict labels. A language model that always says the same is `uniform`. Only outputs are
    changed, so metrics that read embeddings alone do not score it. A correlation with a constant is undefined.
Use:
    - {method: constant}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fairshrink.contracts import TaskHead
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
STORED = False
HEADS: tuple[TaskHead, ...] = ("regression", "classification")
OUTPUTS_ONLY = True


class Settings(BaseSettings):
    """A constant predictor has no settings."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Fix the outputs of the task head in place; UserError for a task without labels."""
    import torch

    from fairshrink.compression.controls._shared.outputs import always
    from fairshrink.data.examples import frames
    from fairshrink.errors import UserError

    task = context.task_with_examples("constant")
    examples = frames(task)["train"]
    if "label" not in examples or cp.head not in HEADS:
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no labels to predict")
    if cp.head == "regression":
        logits = torch.tensor([examples["label"].mean()])
    else:
        counts = torch.tensor([int((examples["label"] == name).sum()) for name in cp.labels]) + 1.0
        logits = (counts / counts.sum()).log()
    always(cp, logits)
    return dataclasses.replace(cp, path=None)
