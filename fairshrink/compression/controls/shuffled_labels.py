"""Control: the pretrained model fine-tuned on the task with training labels permuted among the examples.

Nothing is compressed. The model is trained on the same texts for as many steps as the baseline, but labels carry no
information about them. Bias in its predictions comes from the pretrained model or from training itself, not from the
task.

Formula:
    train on (xᵢ, y_π(i)), π a random permutation of the training examples; start, settings and seed are the baseline's
Paper: Zhang, Bengio, Hardt, Recht and Vinyals, *Understanding Deep Learning Requires Rethinking Generalization*, ICLR
    2017; as a control: Adebayo et al., *Sanity Checks for Saliency Maps*, NeurIPS 2018 (data randomization).
Cost: One fine-tuning, as the baseline's.
Saves: Nothing.
Limits: Only for trained tasks with labels, classification and regression. The frequencies of
    labels are learned, and with many epochs single examples are memorized.
Use:
    - {method: shuffled_labels, tasks: [sentiment, nli]}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fairshrink.compression.controls._shared.seeds import SeededSettings
from fairshrink.contracts import TaskHead

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
TRAINS = True
STORED = True
HEADS: tuple[TaskHead, ...] = ("regression", "classification")
OUTPUTS_ONLY = False


class Settings(SeededSettings):
    """Settings of training on shuffled labels."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """A model trained on shuffled labels; ``cp`` is not changed.

    UserError for a task without training or labels, and for a compressed ``cp``.
    """
    import numpy as np

    from fairshrink.compression.controls._shared.seeds import combined
    from fairshrink.compression.controls._shared.training import trained_task
    from fairshrink.data.examples import frames
    from fairshrink.errors import UserError

    task, module = trained_task(context, "shuffled_labels")
    if cp.structure:
        raise UserError("shuffled_labels: apply it to an uncompressed baseline")
    tables = frames(task)
    examples = tables["train"]
    if "label" not in examples:
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no labels to shuffle")
    order = np.random.default_rng(combined(context.seed, settings.control_seed)).permutation(len(examples))
    shuffled = examples.assign(label=examples["label"].to_numpy()[order])
    trained = context.source()
    trained.model.to(cp.device)
    module.train(trained, {**tables, "train": shuffled}, task.settings, task.seed, context.log, state=context.state)
    return dataclasses.replace(trained, path=None)
