"""A task in the grid: the part of it that jobs get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairshrink.data.table import Table, TableReference
from fairshrink.planning.artifact import Artifact
from fairshrink.study.jobs import TaskOnSplit
from fairshrink.study.study import TaskEntry


def inputs_of(task: TaskEntry, downloads: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The downloads that contain a task's tables, by the table's path in the task."""
    return {path: downloads[table.download] for path, table in task.tables()}


def on_split(task: TaskEntry, downloads: Mapping[str, Artifact], split: int, seed: int) -> TaskOnSplit:
    """The task as a job gets it."""
    train = task.keys.train
    return TaskOnSplit(
        name=task.name,
        kind=task.kind,
        settings=task.settings.model_dump(mode="json"),
        split=split,
        seed=seed,
        train=reference(task, train, downloads) if train is not None else None,
        tests={name: reference(task, table, downloads) for name, table in task.tests.items()},
    )


def untrained(task: TaskEntry, seed: int) -> TaskOnSplit:
    """What a baseline without fine-tuning is given: its kind alone, as nothing else of the task can change it."""
    return TaskOnSplit(task.name, task.kind, {}, 0, seed)


def _format(table: Table) -> dict[str, Any]:
    return table.model_dump(mode="json", exclude={"download"})


def reference(task: TaskEntry, table: Table, downloads: Mapping[str, Artifact]) -> TableReference:
    """A table of a task as a job gets it."""
    named = task.module.HEAD == "classification"
    return TableReference(path=downloads[table.download].path, named=named, **_format(table))
