"""From the input of a job to the objects that it works on."""

from __future__ import annotations

from pathlib import Path

from fairshrink.data.examples import Task, label_names
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.registry import CATALOG
from fairshrink.store.artifacts import Recipe
from fairshrink.study.jobs import PretrainedModel, TaskOnSplit
from fairshrink.training.state import TrainingState


def open_task(given: TaskOnSplit) -> Task:
    """The task with its kind and validated settings."""
    module = CATALOG.tasks[given.kind]
    settings = module.Settings(**given.settings)
    return Task(given.name, given.kind, module, settings, given.split, given.seed, given.train, given.tests)


class Tasks:
    """Tasks of a job's orders: one that the last order has too is opened, and its tables are read, once."""

    def __init__(self) -> None:
        self._last: tuple[TaskOnSplit, Task] | None = None

    def open(self, given: TaskOnSplit | None) -> Task | None:
        """As `open_task`; None for no task."""
        if given is None:
            return None
        if self._last is None or self._last[0] != given:
            self._last = given, open_task(given)
        return self._last[1]


def open_pretrained(model: PretrainedModel, seed: int, task: Task) -> checkpoints.Checkpoint:
    """The pretrained model with the task's new head, from which fine-tuning starts, or as it is."""
    labels = label_names(task) if model.trained and model.head == "classification" else model.labels
    return checkpoints.from_source(
        Path(model.path),
        head=model.head,
        labels=labels,
        gguf_file=model.gguf_file,
        dtype=model.dtype,
        seed=seed,
        names=model.names,
        trained=model.trained,
    )


def open_state(recipe: Recipe, save_minutes: float) -> TrainingState:
    """The saved state of the training that makes an artifact, next to it.

    The temporary folder in which the artifact is built does not survive its process.
    """
    path = Path(recipe.path)
    return TrainingState(path.with_name(f".{path.name}.training"), recipe.key, log, 60 * save_minutes)
