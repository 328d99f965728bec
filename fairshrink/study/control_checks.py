"""Checks of controls and doses: what they can be made of, which metrics score them, whether rows suffice."""

from __future__ import annotations

from fairshrink.contracts import Control
from fairshrink.data.table import Table
from fairshrink.study.mistakes import Mistake, check_where, refer, suggestion
from fairshrink.study.ready_made import check_examples
from fairshrink.study.study import ControlEntry, Study, TaskEntry
from fairshrink.study.table_checks import check_table


def check_control(
    study: Study, entry: ControlEntry, models: set[str], tasks: set[str], mistakes: list[Mistake]
) -> None:
    """Add the mistakes of an entry under ``controls``."""
    before = len(mistakes)
    key, heads = f"controls.{entry.method}", entry.module.HEADS if isinstance(entry.module, Control) else ()
    check_where(entry.keys.models, entry.keys.tasks, models, tasks, key, mistakes)
    fitting = sorted(name for name, task in study.tasks.items() if task.module.HEAD in heads)
    for name in entry.keys.tasks or ():
        if name in study.tasks and name not in fitting:
            reason = f"{entry.method} cannot be made of a baseline of task '{name}' of kind {study.tasks[name].kind}"
            mistakes.append(Mistake(f"{key}.tasks", reason, suggestion("", fitting)))
    if study.whole and not study.controlled(entry) and len(mistakes) == before:
        reason = f"no model of the study has a task that {entry.method} can be made for"
        remedy = f"a model and a task with the task head {' or '.join(heads)}, or leave the control out"
        mistakes.append(Mistake(key, reason, remedy))
    check_examples(study, entry, study.controlled(entry), key, mistakes)
    _check_metrics(study, entry, key, mistakes)


def check_dose(
    study: Study,
    entry: ControlEntry,
    table: Table,
    downloads: set[str],
    models: set[str],
    tasks: set[str],
    mistakes: list[Mistake],
) -> None:
    """Add the mistakes of an entry under ``doses``."""
    before, key = len(mistakes), f"doses.{entry.setting.partition('=')[0]}"
    check_where(entry.keys.models, None, models, tasks, key, mistakes)
    (name,) = entry.keys.tasks or ("",)
    known = refer(table.download, downloads, f"{key}.table.download", "download", mistakes)
    if not refer(name, tasks, f"{key}.task", "task", mistakes) or name not in study.tasks:
        return
    task = study.tasks[name]
    if not task.trained:
        trained = sorted(each for each, other in study.tasks.items() if other.trained)
        reason = f"baselines of task '{name}' of kind {task.kind} are not trained"
        mistakes.append(Mistake(f"{key}.task", reason, suggestion("", trained)))
        return
    if study.whole and not study.controlled(entry) and len(mistakes) == before:
        mistakes.append(Mistake(key, f"none of its models has task '{name}'", "other `models`, or leave them out"))
    check_examples(study, entry, study.controlled(entry), key, mistakes)
    _check_columns(task, table, f"{key}.table", mistakes)
    if known:
        _check_amount(study, entry, task, table, key, mistakes)
    _check_metrics(study, entry, key, mistakes)


def _check_metrics(study: Study, entry: ControlEntry, key: str, mistakes: list[Mistake]) -> None:
    """Each metric that is named has to score one of its checkpoints at least."""
    pairs = set(study.controlled(entry))
    scoring = {
        metric.name
        for metric in study.metrics
        for model, task in pairs & set(study.scored(metric))
        if entry.shown_by(metric, study.tasks[task].provides)
    }
    for name in entry.keys.metrics or ():
        known = refer(name, {each.name for each in study.metrics}, f"{key}.metrics", "metric", mistakes)
        if known and pairs and name not in scoring:
            others = sorted({m.name for m in study.metrics for pair in study.scored(m) if pair in pairs} - {name})
            reason = f"{name} scores no {entry.method}: not its tasks, or nothing that it changes"
            mistakes.append(Mistake(f"{key}.metrics", reason, suggestion("", others)))


def _check_columns(task: TaskEntry, table: Table, key: str, mistakes: list[Mistake]) -> None:
    """A dose has the columns of the training table, and no other labels."""
    train = task.keys.train
    if train is None:
        return
    for column in sorted(set(train.columns) - set(table.columns)):
        mistakes.append(Mistake(f"{key}.columns.{column}", "this column is not named", f"`{column}: NAME`"))
    for column in sorted(set(table.columns) - set(train.columns)):
        reason = f"the training table of task '{task.name}' has no {column}"
        mistakes.append(Mistake(f"{key}.columns.{column}", reason, "leave it out"))
    known, names = train.label_names, table.label_names
    if names and task.module.HEAD != "classification":
        reason = f"a {task.kind} task has no named labels"
        mistakes.append(Mistake(f"{key}.labels", reason, "leave `labels` out"))
    elif known and not names:
        mistakes.append(Mistake(f"{key}.labels", "label names are missing", f"`labels: [{', '.join(known)}]`"))
    elif known and names and (others := [name for name in names if name not in known]):
        reason = f"{', '.join(others)}: not among the labels that the model is trained on, {', '.join(known)}"
        mistakes.append(Mistake(f"{key}.labels", reason, f"`labels: {{{others[0]}: NAME, …}}`"))


def _check_amount(
    study: Study, entry: ControlEntry, task: TaskEntry, table: Table, key: str, mistakes: list[Mistake]
) -> None:
    """There are as many rows as the amount says, and as many examples to replace."""
    amount = entry.settings.model_dump()["amount"]
    found = check_table(study, task, table, f"{key}.table", mistakes)
    download = study.downloads.get(table.download)
    rows = found.rows if found else download.settings.rows if download else None
    if rows is not None and 0 < rows < amount:
        reason = f"{amount} rows are asked for, and its table has {rows}"
        mistakes.append(Mistake(f"{key}.amounts", reason, f"at most {rows}, or a table with more rows"))
    most = task.settings.model_dump().get("train_items")
    if most is not None and most < amount:
        reason = f"{amount} training examples are to be replaced, and task '{task.name}' has {most} (`train_items`)"
        mistakes.append(Mistake(f"{key}.amounts", reason, f"at most {most}"))
