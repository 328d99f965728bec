"""Checks of tasks whose models are used as they are: nothing is trained, so nothing can be asked for that needs it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from fairshrink.contracts import FittingMethod, LossTask, TrainingMethod
from fairshrink.models.classes import matched
from fairshrink.study.mistakes import Mistake
from fairshrink.study.schema import Model
from fairshrink.study.study import CompressionEntry, ControlEntry, Study, TaskEntry
from fairshrink.training.settings import TrainingSettings

TABLES_OWN = {"max_length"}
"""Settings that matter without training; further ones where examples are divided."""
DIVIDES = {"test_share", "dev_share", "train_items"}
WITH_OUTPUTS = ("regression", "classification")


def check_ready_made(study: Study, task: TaskEntry, mistakes: list[Mistake]) -> None:
    """Add the mistakes of a task with ``finetune: false``; none of other tasks."""
    if task.trained or not task.module.TRAINED:
        return
    key = f"tasks.{task.name}"
    if task.main is None and task.module.HEAD in WITH_OUTPUTS:
        remedy = "`test: {NAME: {download: …, columns: …}}`"
        mistakes.append(Mistake(f"{key}.test", f"a {task.kind} task needs a table to test on", remedy))
    if len(task.keys.splits) > 1:
        reason = "without fine-tuning all splits are the same"
        mistakes.append(Mistake(f"{key}.splits", reason, "leave `splits` out"))
    unused = set(TrainingSettings.model_fields) - TABLES_OWN - (DIVIDES if task.keys.train is not None else set())
    for name in sorted(unused & task.settings.model_fields_set):
        reason = "this is about training, and with `finetune: false` there is none"
        mistakes.append(Mistake(f"{key}.{name}", reason, f"leave `{name}` or `finetune: false` out"))
    for name, model in study.models.items():
        if task.name in model.tasks and task.module.HEAD in WITH_OUTPUTS:
            _check_model(study, name, model, task, mistakes)


def check_examples(
    study: Study,
    entry: CompressionEntry | ControlEntry,
    pairs: Collection[tuple[str, str]],
    key: str,
    mistakes: list[Mistake],
) -> None:
    """Add a mistake where a method trains as baselines were and these are not, or lacks a loss or examples."""
    tasks = {task for _, task in pairs}
    if isinstance(entry.module, FittingMethod) and entry.module.FITS:
        unfit = {task for task in tasks if not isinstance(study.tasks[task].module, LossTask)}
        if unfit:
            reason = f"{entry.method} trains, and there is no loss to train on in {', '.join(sorted(unfit))}"
            fitting = ", ".join(sorted(tasks - unfit))
            mistakes.append(Mistake(f"{key}.tasks", reason, f"`tasks: [{fitting}]`" if fitting else "leave it out"))
            tasks -= unfit
    untrained = {task for task in tasks if not study.tasks[task].trained}
    without = {task for task in tasks if study.tasks[task].keys.train is None}
    if isinstance(entry.module, TrainingMethod) and entry.module.TRAINS:
        without -= untrained
        reason = f"{entry.method} trains as baselines are trained, and those of {', '.join(sorted(untrained))} are not"
    else:
        untrained = set()
    if not entry.module.NEEDS_TASK:
        without = set()
    left = sorted(tasks - untrained - without)
    remedy = f"`tasks: [{', '.join(left)}]`" if left else "leave it out"
    if untrained:
        mistakes.append(Mistake(f"{key}.tasks", reason, remedy))
    if without:
        reason = f"{entry.method} needs examples, and there are none in {', '.join(sorted(without))}"
        remedy += f"; or tasks.{min(without)}.train"
        mistakes.append(Mistake(f"{key}.tasks", reason, remedy))


def _check_model(study: Study, name: str, model: Model, task: TaskEntry, mistakes: list[Mistake]) -> None:
    """What the config of a local model says of its head; of one that is fetched the job says it, before it scores."""
    download = study.downloads.get(model.download)
    root = download.settings.local if download else None
    config = _config(root / model.folder / "config.json") if root else None
    if config is None:
        return
    classes = config.get("architectures")
    if isinstance(classes, list) and classes and not any("ForSequenceClassification" in str(each) for each in classes):
        reason = f"task '{task.name}' uses it as it is, and it is a {', '.join(map(str, classes))}, without such a head"
        mistakes.append(Mistake(f"models.{name}.tasks", reason, "a model for sequence classification, or fine-tune it"))
        return
    own = _outputs(config)
    if task.module.HEAD == "regression" and len(own) != 1:
        reason = f"task '{task.name}' is a regression, and the model has {len(own)} outputs, {', '.join(own)}"
        remedy = "`kind: classification` with `labels`, or another model"
        mistakes.append(Mistake(f"models.{name}.tasks", reason, remedy))
    names = task.main.names_by_label if task.main is not None else {}
    if task.module.HEAD == "classification" and task.labels and matched(own, task.labels, names) is None:
        reason = f"the labels of model '{name}' are {', '.join(own)}, those of the task {', '.join(task.labels)}"
        pairs = ", ".join(f"{each}: {label}" for each, label in zip(own, task.labels, strict=False))
        remedy = f"the same labels, or say which is which: `labels: {{{pairs}}}` and what the table says besides"
        mistakes.append(Mistake(f"tasks.{task.name}.{_path_of_main(task)}.labels", reason, remedy))


def _path_of_main(task: TaskEntry) -> str:
    return next(path for path, table in task.tables() if table is task.main)


def _config(path: Path) -> dict[str, object] | None:
    """What is in it; None where there is no such file or it is damaged, which is a mistake of its own."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _outputs(config: dict[str, object]) -> list[str]:
    """The names of a model's outputs in their order, as transformers takes them from a config."""
    named = config.get("id2label")
    if isinstance(named, dict) and all(str(number).isdecimal() for number in named):
        return [str(named[number]) for number in sorted(named, key=int)]
    number = config.get("num_labels")
    return [f"LABEL_{each}" for each in range(number if isinstance(number, int) else 2)]
