"""Checks across the entries of a study: names lead somewhere, and what is asked of a task it can give."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from fairshrink import registry
from fairshrink.data.columns import column_names
from fairshrink.errors import UserError
from fairshrink.settings import Settings
from fairshrink.study.mistakes import Mistake, suggestion
from fairshrink.study.schema import Execution, Model, Statistics, Table

HEADS_OF_FAMILY = {
    "encoder": ("encoder", "masked_lm", "regression", "classification"),
    "causal": ("causal_lm",),
}


@dataclass(frozen=True)
class Entry:
    """A named module (source, task, compression or metric) with its validated settings and common keys."""

    name: str
    module: str
    settings: Settings
    common: Any = None
    explicit: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Study:
    """A validated study."""

    name: str
    file: str
    seed: int
    downloads: dict[str, Entry]
    models: dict[str, Model]
    tasks: dict[str, Entry]
    compressions: list[Entry]
    metrics: list[Entry]
    statistics: Statistics
    execution: Execution
    output: str
    capabilities: dict[str, frozenset[str]] = field(default_factory=dict)


def check(study: Study, downloads: set[str], models: set[str], tasks: set[str], mistakes: list[Mistake]) -> None:
    """Names must lead somewhere, and what is asked of a task it must be able to give."""

    def refer(name: str, known: set[str], key: str, what: str) -> bool:
        if name not in known:
            mistakes.append(Mistake(key, f"there is no {what} '{name}'", suggestion(name, known)))
        return name in known

    for name, entry in study.downloads.items():
        try:
            registry.load("sources", entry.module).pin(entry.settings)
        except UserError as error:
            reason, _, remedy = str(error).rpartition("; ")
            mistakes.append(Mistake(f"downloads.{name}", reason or remedy, remedy))
    for name, model in study.models.items():
        refer(model.download, downloads, f"models.{name}.download", "download")
        for task in model.tasks:
            if refer(task, tasks, f"models.{name}.tasks", "task") and task in study.tasks:
                _check_family(name, model, study.tasks[task], mistakes)
    for name, task in study.tasks.items():
        for key, table in _tables(task):
            if refer(table.download, downloads, f"tasks.{name}.{key}.download", "download"):
                _check_columns(study, table, f"tasks.{name}.{key}", mistakes)
        _check_task(name, task, mistakes)
        if not any(name in model.tasks for model in study.models.values()):
            mistakes.append(
                Mistake(f"tasks.{name}", "no model has this task", f"`{name}` in a model's `tasks`, or leave it out")
            )
    for position, entry in enumerate([*study.compressions, *study.metrics]):
        is_metric = position >= len(study.compressions)
        key = f"metrics.{entry.name}" if is_metric else f"compressions.{entry.module}"
        for model in entry.common.models or ():
            refer(model, models, f"{key}.models", "model")
        for task in entry.common.tasks or ():
            refer(task, tasks, f"{key}.tasks", "task")
        if not is_metric:
            _check_compression(study, entry, key, mistakes)
            continue
        _check_metric(study, entry, key, mistakes)
        for role, files in entry.common.data.items():
            refer(files.download, downloads, f"{key}.data.{role}.download", "download")
    for first, second in itertools.combinations(study.metrics, 2):
        both = sorted(set(applies_to(study, first)) & set(applies_to(study, second)))
        if first.name == second.name and both:
            where = ", ".join(f"{model} on {task}" for model, task in both)
            reason = f"two metrics of this name apply to {where}"
            mistakes.append(Mistake(f"metrics.{first.name}", reason, "`name: …` for one of them, or other `tasks`"))


def _tables(task: Entry) -> Iterator[tuple[str, Table]]:
    if task.common.train:
        yield "train", task.common.train
    for name, table in (task.common.test or {}).items():
        yield f"test.{name}", table


def _check_columns(study: Study, table: Table, key: str, mistakes: list[Mistake]) -> None:
    """Files of one's own can be looked into before any job; those that are fetched are checked when they are read."""
    entry = study.downloads.get(table.download)
    if entry is None or entry.module != "local":
        return
    root = Path(entry.settings.path)
    for name in [table.file] if isinstance(table.file, str) else table.file:
        path = root if root.is_file() and root.name == name else root / name
        if not path.is_file():
            there = [root.name] if root.is_file() else [each.relative_to(root).as_posix() for each in root.rglob("*")]
            mistakes.append(Mistake(f"{key}.file", f"there is no file '{name}' in {root}", suggestion(name, there)))
            continue
        try:
            names = column_names(path, table)
        except (OSError, UnicodeError, ValueError) as error:
            reason = f"{path} cannot be read as {table.format} ({error})"
            mistakes.append(Mistake(key, reason, "the right `format`, `encoding`, `header` and `quoting`"))
            continue
        known = names if isinstance(names, list) else range(names)
        for role, column in table.columns.items():
            if column not in known:
                reason = f"{path} has no column '{column}'"
                mistakes.append(Mistake(f"{key}.columns.{role}", reason, suggestion(str(column), map(str, known))))


def _check_family(name: str, model: Model, task: Entry, mistakes: list[Mistake]) -> None:
    head = registry.load("tasks", task.module).HEAD
    if head not in HEADS_OF_FAMILY[model.family]:
        fitting = [
            kind
            for kind in registry.names("tasks")
            if registry.load("tasks", kind).HEAD in HEADS_OF_FAMILY[model.family]
        ]
        mistakes.append(
            Mistake(
                f"models.{name}.tasks",
                f"a {model.family} model cannot do task '{task.name}' of kind {task.module}",
                f"a task of kind {', '.join(fitting)}",
            )
        )


def _check_task(name: str, task: Entry, mistakes: list[Mistake]) -> None:
    module = registry.load("tasks", task.module)
    if module.TRAINED and task.common.train is None:
        mistakes.append(Mistake(f"tasks.{name}.train", f"a {task.module} task needs examples", "`train:` with a table"))
    needed = {"text"} | ({"label"} if module.HEAD in ("regression", "classification") else set())
    for key, table in _tables(task):
        for column in sorted(needed - set(table.columns)):
            mistakes.append(
                Mistake(f"tasks.{name}.{key}.columns.{column}", "this column is not named", f"`{column}: NAME`")
            )
    if module.HEAD == "classification" and task.common.train is not None and not task.common.train.labels:
        mistakes.append(Mistake(f"tasks.{name}.train.labels", "label names are missing", "`labels: [name, name, …]`"))
    if len(set(task.common.splits)) != len(task.common.splits):
        mistakes.append(Mistake(f"tasks.{name}.splits", "a split stands twice", "each number once"))


def _check_compression(study: Study, entry: Entry, key: str, mistakes: list[Mistake]) -> None:
    pairs = list(applies_to(study, entry))
    if not pairs:
        mistakes.append(Mistake(key, "no model of the study has such a task", "other `models` or `tasks`"))
    if registry.load("compression", entry.module).NEEDS_TASK:
        without = sorted({task for _, task in pairs if study.tasks[task].common.train is None})
        if without:
            reason = f"{entry.module} needs examples, and there are none in {', '.join(without)}"
            remedy = f"`tasks: [{', '.join(sorted({task for _, task in pairs} - set(without)))}]`"
            mistakes.append(Mistake(f"{key}.tasks", reason, remedy))


def _check_metric(study: Study, entry: Entry, key: str, mistakes: list[Mistake]) -> None:
    module: ModuleType = registry.load("metrics", entry.module)
    able = sorted(name for name, provided in study.capabilities.items() if provided & module.NEEDS)
    needs = " or ".join(sorted(module.NEEDS))
    for task in entry.common.tasks or ():
        if task in study.tasks and task not in able:
            reason = f"{entry.module} needs a task that gives {needs}; '{task}' does not"
            mistakes.append(Mistake(f"{key}.tasks", reason, suggestion("", able)))
    if not able:
        reason = f"{entry.module} needs a task that gives {needs}; no task of the study does"
        mistakes.append(Mistake(key, reason, "add such a task, or leave the metric out"))
    for role in sorted(set(module.ROLES) - set(entry.common.data)):
        mistakes.append(
            Mistake(f"{key}.data.{role}", f"its data are not named ({module.ROLES[role]})", "`download:` and `file:`")
        )
    for role in sorted(set(entry.common.data) - set(module.ROLES)):
        mistakes.append(Mistake(f"{key}.data.{role}", f"there is no role '{role}'", suggestion(role, module.ROLES)))


def applies_to(study: Study, entry: Entry) -> Iterator[tuple[str, str]]:
    """(model, task) pairs of the study that a compression or metric is applied to."""
    module = None if "method" in type(entry.common).model_fields else registry.load("metrics", entry.module)
    for model_name, model in study.models.items():
        if entry.common.models is not None and model_name not in entry.common.models:
            continue
        for task in model.tasks:
            wanted = entry.common.tasks is None or task in entry.common.tasks
            able = module is None or study.capabilities.get(task, frozenset()) & module.NEEDS
            if wanted and able and task in study.tasks:
                yield model_name, task
