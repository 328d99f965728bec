"""Knowledge distillation: a student with fewer or narrower layers learns the soft labels of its teacher, the baseline.

The student is a model of the same architecture with fewer blocks (`student_layers`, chosen by `choice`, or
`kept_layers` by their numbers) or narrower ones (`width`). Its blocks start as the teacher's that were kept, its
embeddings and task head as the teacher's (`initial: teacher`), or everything starts anew (`initial: fresh`). A narrower
student always starts anew: its width and the inner width of its feed-forward layers are the teacher's times `width`,
its heads are as wide as the teacher's and fewer, so the width is rounded to whole heads, at least one.

`alpha: 1` is the same student trained without its teacher, for comparison. Soft labels of masked and causal language
models are the teacher's distributions over the vocabulary at each token that is predicted. Teachers compute without
dropout. Regression has no softmax: there it is the squared difference from the teacher's number.

Formula:
    loss = α · CE(student, label) + (1 − α) · T² · KL(softmax(teacher / T) ‖ softmax(student / T))
    regression: loss = α · (student − label)² + (1 − α) · (student − teacher)²
Paper: Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network*, 2015; blocks of the teacher as a start:
    Sanh et al., *DistilBERT*, 2019.
Deviations: DistilBERT also compares hidden states (cosine), and trains on its teacher's pretraining data.
Cost: A fine-tuning of `epochs` epochs of the student; forward passes of the teacher, over all examples once, or of
    language models in each step.
Saves: Disk, memory and latency: fewer parameters. A plain model, which plain transformers loads.
Limits: It trains on the task's examples alone. A fresh student of a pretrained model needs far more of them than a
    task has. Embeddings stay whole, and are most of a small model's bytes. Layers that share weights (ALBERT) cannot
    be left out.
Use:
    - {method: soft_labels, student_layers: 3, alpha: [0.5, 1.0], temperature: 2.0, epochs: 3}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression.distillation.soft_labels.settings import StudentSettings, misfits_of_students
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FITS = True
FORMS = Forms(takes=frozenset({"baseline"}), gives="dense")


class Settings(StudentSettings):
    """Settings of distillation; at least one of `student_layers`, `kept_layers` and `width`."""

    alpha: float = Field(0.5, ge=0, le=1, description="weight of the labels; 1 trains without a teacher")
    temperature: float = Field(2.0, gt=0, description="T: the higher, the softer the labels; not for regression")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A student with blocks that its teacher does not have."""
    return misfits_of_students(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """A trained student; ``cp`` is its teacher and is not changed.

    UserError for more layers than the teacher has, for an architecture whose layers cannot be left out, for a task
    without a loss, and for a compressed ``cp``.
    """
    from fairshrink.compression._shared.fitting import fit_to_task, task_loss
    from fairshrink.compression.distillation.soft_labels.losses import distillation_loss
    from fairshrink.compression.distillation.soft_labels.student import student_of
    from fairshrink.errors import UserError

    if cp.structure:
        raise UserError("soft_labels: apply it to an uncompressed baseline")
    student = student_of(cp, settings, context.seed)
    context.log(f"soft_labels: {student.model.num_parameters():,} of {cp.model.num_parameters():,} parameters")
    fit_to_task(
        student,
        settings,
        context,
        "soft_labels",
        loss_of=lambda task, frame: (
            task_loss(student, task, frame)
            if settings.alpha == 1
            else distillation_loss(student, cp, task, frame, settings.alpha, settings.temperature)
        ),
    )
    return student
