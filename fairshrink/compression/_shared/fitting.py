"""Training a checkpoint, compressed or not, on the loss of its task, whether or not its baseline was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from fairshrink.compression._shared.counterfactual import with_counterfactuals
from fairshrink.compression._shared.settings import FittingSettings
from fairshrink.contracts import Context, LossTask
from fairshrink.data.examples import Task, frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import prefixes
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.training.fit import Loss, fit, plan
from fairshrink.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pandas import DataFrame


def fit_to_task(
    cp: Checkpoint,
    settings: FittingSettings,
    context: Context,
    method: str,
    *,
    masks: Mapping[str, torch.Tensor] | None = None,
    seed: int | None = None,
    loss_of: Callable[[Task, DataFrame], Loss] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Train in place, and store as before what is stored in bfloat16.

    ``masks`` as `fit` takes them; ``seed``: by default the task's; ``loss_of``: another loss than the task's;
    ``on_step`` is told how many of how many steps are done, before the first one and after each. UserError for a kind
    of task without a loss.
    """
    task = context.task_with_examples(method)
    frame = examples(task, settings)
    loss = loss_of(task, frame) if loss_of else task_loss(cp, task, frame)
    train_only(cp.model, settings.layers)
    stored = cp.dtype
    used = task.seed if seed is None else seed
    how = training(task, settings)
    steps = len(plan(loss.lengths, how, used))
    told = partial(_told, on_step, steps) if on_step else None
    fit(cp, loss, how, used, context.log, masks=dict(masks or {}), on_step=told, state=context.state)
    if stored != "float32":
        cp.model.to(getattr(torch, stored)).to(torch.float32)
        cp.dtype = stored


def _told(on_step: Callable[[int, int], None], steps: int, done: int) -> None:
    on_step(done, steps)


def task_loss(cp: Checkpoint, task: Task, frame: DataFrame) -> Loss:
    """The loss of the task over these examples; UserError where its kind has none."""
    if not isinstance(task.module, LossTask):
        raise UserError(f"tasks.{task.name}: a task of kind {task.kind} has no loss to train on")
    return task.module.loss(cp, frame, task.settings)


def examples(task: Task, settings: FittingSettings) -> DataFrame:
    """The training examples, never those that are tested on."""
    frame = frames(task)["train"]
    frame = frame if settings.train_items is None else frame.head(settings.train_items)
    return with_counterfactuals(frame) if settings.counterfactual else frame


def training(task: Task, settings: FittingSettings) -> TrainingSettings:
    """The settings of the training: those of the task where it has them and ``settings`` names none."""
    named = {"learning_rate": settings.learning_rate, "batch_size": settings.batch_size, "epochs": settings.epochs}
    stated = {name: value for name, value in named.items() if value is not None}
    if isinstance(task.settings, TrainingSettings):
        return task.settings.model_copy(update=stated)
    return TrainingSettings(**stated)


def train_only(model: torch.nn.Module, layers: Sequence[int]) -> None:
    """Freeze everything but these blocks, until the end of the next `fit`; nothing if there are none named."""
    if not layers:
        return
    names = prefixes(model)
    beyond = [each for each in layers if each >= len(names)]
    if beyond:
        raise UserError(f"layers: there is no block {beyond[0]}; the model has blocks 0 to {len(names) - 1}")
    chosen = tuple(f"{names[each]}." for each in layers)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(chosen))


def zero_masks(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """For each matrix with zeros the entries that are not zero, bool of its shape, by its name.

    Vectors have none: a bias that is zero has not been removed. Nor has a token's embedding that is zero as a whole, as
    that of padding is.
    """
    tables = {f"{name}.weight" for name, each in model.named_modules() if isinstance(each, torch.nn.Embedding)}
    found = {}
    for name, value in model.named_parameters():
        if value.ndim > 1 and value.is_floating_point():
            mask = value.detach() != 0
            if name in tables:
                mask |= ~mask.any(dim=1, keepdim=True)
            if not bool(mask.all()):
                found[name] = mask
    return found
