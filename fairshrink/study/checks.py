"""Checks across the entries of a study: names exist, and tasks provide what metrics and methods need."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping

from fairshrink.contracts import ModelFamily, TaskHead
from fairshrink.data.columns import column_names
from fairshrink.data.table import Table
from fairshrink.errors import UserError
from fairshrink.study.catalog import Catalog
from fairshrink.study.mistakes import Mistake, suggestion
from fairshrink.study.schema import Model
from fairshrink.study.study import CompressionEntry, MetricEntry, Study, TaskEntry

TASK_HEADS_OF_FAMILY: Mapping[ModelFamily, tuple[TaskHead, ...]] = {
    "encoder": ("encoder", "masked_lm", "regression", "classification"),
    "causal": ("causal_lm",),
}


def check(
    study: Study,
    catalog: Catalog,
    downloads: set[str],
    models: set[str],
    tasks: set[str],
    mistakes: list[Mistake],
) -> None:
    """Add all errors to ``mistakes``. The three sets contain all names in the file, also of entries with mistakes."""
    _check_downloads(study, mistakes)
    for name, model in study.models.items():
        _refer(model.download, downloads, f"models.{name}.download", "download", mistakes)
        for task in model.tasks:
            if _refer(task, tasks, f"models.{name}.tasks", "task", mistakes) and task in study.tasks:
                _check_family(name, model, study.tasks[task], catalog, mistakes)
    for name, entry in study.tasks.items():
        for key, table in entry.tables():
            if _refer(table.download, downloads, f"tasks.{name}.{key}.download", "download", mistakes):
                _check_columns(study, table, f"tasks.{name}.{key}", mistakes)
        _check_task(study, entry, mistakes)
    for compression in study.compressions:
        key = f"compressions.{compression.method}"
        _check_where(compression.keys.models, compression.keys.tasks, models, tasks, key, mistakes)
        _check_compression(study, compression, key, mistakes)
    for metric in study.metrics:
        key = f"metrics.{metric.name}"
        _check_where(metric.keys.models, metric.keys.tasks, models, tasks, key, mistakes)
        _check_metric(study, metric, key, mistakes)
        for role, files in metric.keys.data.items():
            _refer(files.download, downloads, f"{key}.data.{role}.download", "download", mistakes)
    _check_names(study, mistakes)


def _refer(name: str, known: Collection[str], key: str, what: str, mistakes: list[Mistake]) -> bool:
    """Whether a name exists; if not, it is a mistake."""
    if name not in known:
        mistakes.append(Mistake(key, f"there is no {what} '{name}'", suggestion(name, known)))
    return name in known


def _check_where(
    of_models: list[str] | None,
    of_tasks: list[str] | None,
    models: set[str],
    tasks: set[str],
    key: str,
    mistakes: list[Mistake],
) -> None:
    for model in of_models or ():
        _refer(model, models, f"{key}.models", "model", mistakes)
    for task in of_tasks or ():
        _refer(task, tasks, f"{key}.tasks", "task", mistakes)


def _check_downloads(study: Study, mistakes: list[Mistake]) -> None:
    for name, entry in study.downloads.items():
        try:
            entry.module.pin(entry.settings)
        except UserError as error:
            reason, _, remedy = str(error).rpartition("; ")
            mistakes.append(Mistake(f"downloads.{name}", reason or remedy, remedy))


def _check_columns(study: Study, table: Table, key: str, mistakes: list[Mistake]) -> None:
    """Local files are checked before any job starts; those that are fetched are checked when they are read."""
    entry = study.downloads.get(table.download)
    root = entry.settings.local if entry else None
    if root is None:
        return
    for name in table.files:
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
        known: Collection[str | int] = names if isinstance(names, list) else range(names)
        for role, column in table.columns.items():
            if column not in known:
                reason = f"{path} has no column '{column}'"
                mistakes.append(Mistake(f"{key}.columns.{role}", reason, suggestion(str(column), map(str, known))))


def _check_family(name: str, model: Model, task: TaskEntry, catalog: Catalog, mistakes: list[Mistake]) -> None:
    heads = TASK_HEADS_OF_FAMILY[model.family]
    if task.module.HEAD not in heads:
        fitting = [kind for kind in catalog.tasks.names() if catalog.tasks[kind].HEAD in heads]
        mistakes.append(
            Mistake(
                f"models.{name}.tasks",
                f"a {model.family} model cannot do task '{task.name}' of kind {task.kind}",
                f"a task of kind {', '.join(fitting)}",
            )
        )


def _check_task(study: Study, task: TaskEntry, mistakes: list[Mistake]) -> None:
    key, module, train = f"tasks.{task.name}", task.module, task.keys.train
    if module.TRAINED and train is None:
        mistakes.append(Mistake(f"{key}.train", f"a {task.kind} task needs examples", "`train:` with a table"))
    needed = {"text"} | ({"label"} if module.HEAD in ("regression", "classification") else set())
    for path, table in task.tables():
        for column in sorted(needed - set(table.columns)):
            mistakes.append(Mistake(f"{key}.{path}.columns.{column}", "this column is not named", f"`{column}: NAME`"))
    if module.HEAD == "classification" and train is not None and not train.labels:
        mistakes.append(Mistake(f"{key}.train.labels", "label names are missing", "`labels: [name, name, …]`"))
    if len(set(task.keys.splits)) != len(task.keys.splits):
        mistakes.append(Mistake(f"{key}.splits", "a split is named twice", "each number once"))
    if not any(task.name in model.tasks for model in study.models.values()):
        mistakes.append(Mistake(key, "no model has this task", f"`{task.name}` in a model's `tasks`, or leave it out"))


def _check_compression(study: Study, entry: CompressionEntry, key: str, mistakes: list[Mistake]) -> None:
    pairs = study.compressed(entry)
    if not pairs:
        mistakes.append(Mistake(key, "no model of the study has such a task", "other `models` or `tasks`"))
    if entry.module.NEEDS_TASK:
        without = sorted({task for _, task in pairs if study.tasks[task].keys.train is None})
        if without:
            reason = f"{entry.method} needs examples, and there are none in {', '.join(without)}"
            remedy = f"`tasks: [{', '.join(sorted({task for _, task in pairs} - set(without)))}]`"
            mistakes.append(Mistake(f"{key}.tasks", reason, remedy))


def _check_metric(study: Study, entry: MetricEntry, key: str, mistakes: list[Mistake]) -> None:
    module = entry.module
    able = sorted(name for name, task in study.tasks.items() if task.provides & module.NEEDS)
    needs = " or ".join(sorted(module.NEEDS))
    for task in entry.keys.tasks or ():
        if task in study.tasks and task not in able:
            reason = f"{entry.metric} needs a task that gives {needs}; '{task}' does not"
            mistakes.append(Mistake(f"{key}.tasks", reason, suggestion("", able)))
    if not able:
        reason = f"{entry.metric} needs a task that gives {needs}; no task of the study does"
        mistakes.append(Mistake(key, reason, "add such a task, or leave the metric out"))
    for role in sorted(set(module.ROLES) - set(entry.keys.data)):
        reason = f"its data are not named ({module.ROLES[role]})"
        mistakes.append(Mistake(f"{key}.data.{role}", reason, "`download:` and `file:`"))
    for role in sorted(set(entry.keys.data) - set(module.ROLES)):
        mistakes.append(Mistake(f"{key}.data.{role}", f"there is no role '{role}'", suggestion(role, module.ROLES)))


def _check_names(study: Study, mistakes: list[Mistake]) -> None:
    for first, second in itertools.combinations(study.metrics, 2):
        both = sorted(set(study.scored(first)) & set(study.scored(second)))
        if first.name == second.name and both:
            where = ", ".join(f"{model} on {task}" for model, task in both)
            reason = f"two metrics of this name apply to {where}"
            mistakes.append(Mistake(f"metrics.{first.name}", reason, "`name: …` for one of them, or other `tasks`"))
