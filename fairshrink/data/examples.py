"""A task with its data: tables are read and divided into train, dev and test, in the same way everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import AnyTask
from fairshrink.data.faults import Fault, TableError
from fairshrink.data.table import TableReference
from fairshrink.errors import UserError
from fairshrink.settings import Settings

if TYPE_CHECKING:
    from pandas import DataFrame


HELD = 100_000
"""Rows of all tables that a task keeps once they are read; it reads larger ones each time that they are asked for."""


@dataclass(frozen=True)
class Task:
    """A task on one split. ``module`` is its kind; ``tests`` are its test tables by name; ``held`` is `frames`' own."""

    name: str
    kind: str
    module: AnyTask
    settings: Settings
    split: int
    seed: int
    train: TableReference | None = None
    tests: Mapping[str, TableReference] = field(default_factory=dict)
    held: dict[str, DataFrame] = field(default_factory=dict, init=False, compare=False, repr=False)


def frames(task: Task) -> dict[str, DataFrame]:
    """Tables by role: "train" and "dev" where the task has examples, and "test" or "test_<name>".

    Without a test table a share of the examples is held out. Parts are disjoint and shuffled by the task's seed, so
    that each split has its own; test tables stay as they are. Column ``row`` is the number of the row in its table,
    from 0, counting rows that are left out; labels of classes are names, since a test table may write them otherwise.
    They are the caller's own: what is done to them does not reach a later caller.
    """
    parts = task.held or _divided(task)
    if sum(map(len, parts.values())) <= HELD:
        task.held.update(parts)
    return {name: part.copy(deep=False) for name, part in parts.items()}


def _divided(task: Task) -> dict[str, DataFrame]:
    parts: dict[str, DataFrame] = {}
    if task.train is not None:
        table = _read(task.train)
        order = np.random.default_rng(task.seed).permutation(len(table))
        n_test = 0 if task.tests else max(1, round(getattr(task.settings, "test_share", 0.0) * len(table)))
        n_dev = round(getattr(task.settings, "dev_share", 0.0) * len(table))
        test, dev, train = np.split(order, [n_test, n_test + n_dev])
        train = train[: getattr(task.settings, "train_items", None)]
        if not len(train):
            raise UserError(
                f"tasks.{task.name}: {len(table)} rows leave none to train on: lower `test_share` and `dev_share`"
            )
        parts = {"train": table.iloc[train], "dev": table.iloc[dev]}
        if not task.tests:
            parts["test"] = table.iloc[test]
    for name, reference in task.tests.items():
        parts[f"test_{name}" if name else "test"] = _read(reference)
    return {name: part.reset_index(drop=True) for name, part in parts.items()}


def label_names(task: Task) -> tuple[str, ...]:
    """Names of the classes that are trained, in the order of the model's outputs: listed, or those of the data set.

    TableError where a test table has others.
    """
    if task.train is None:
        return ()
    known = _names(task.train)
    for name, reference in task.tests.items():
        others = [each for each in _names(reference) if each not in known]
        if others:
            reason = f"{reference.path}: its labels {', '.join(others)} are none of those trained, {', '.join(known)}"
            remedy = f"`labels: {{{others[0]}: NAME, …}}` for it, or leave the table out"
            raise TableError(Fault(f"tasks.{task.name}.test.{name}.labels", reason, remedy))
    return tuple(known)


def _names(reference: TableReference) -> Sequence[str]:
    from fairshrink.data.splits import classes_of

    return reference.label_names or classes_of(reference)


def _read(reference: TableReference) -> DataFrame:
    from fairshrink.data.tables import read

    table = read(reference)
    return table.assign(row=table.index)
