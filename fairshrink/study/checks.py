"""Checks across the entries of a study: names exist, and tasks provide what metrics and methods need."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.store.layout import FOLDERS
from fairshrink.study.abilities import TASK_HEADS_OF_FAMILY
from fairshrink.study.brought import brought
from fairshrink.study.catalog import Catalog
from fairshrink.study.chain_checks import check_chain, check_single, hint_control
from fairshrink.study.control_checks import check_control, check_dose
from fairshrink.study.metric_checks import check_metric
from fairshrink.study.mistakes import Mistake, check_where, refer
from fairshrink.study.ready_made import check_examples, check_ready_made
from fairshrink.study.same_rows import check_same_rows
from fairshrink.study.schema import Model
from fairshrink.study.study import CompressionEntry, MetricEntry, Study, TaskEntry
from fairshrink.study.table_checks import check_others, check_table, has_named_classes
from fairshrink.study.uses import Scale

NOT_IN_NAMES = frozenset("/\\*?[]{}")
"""What separates folders, and wildcards of shells and of Snakemake."""
TAKEN = frozenset(PurePath(each).name for each in FOLDERS.values()) | {
    *("tables", "figures", "metrics", "plots", "manifests", "quarantine", "partial"),
}
"""Folders in results/, where each study has a folder of its own name."""
LONGEST_NAME = 80
"""Bytes: a file's name may have 255, and names of model and task are in it with settings and a key."""


def check(
    study: Study,
    catalog: Catalog,
    downloads: set[str],
    models: set[str],
    tasks: set[str],
    mistakes: list[Mistake],
) -> None:
    """Add all errors to ``mistakes``. The three sets contain all names in the file, also of entries with mistakes."""
    if study.name in TAKEN:
        reason = f"'{study.name}' is the name of a folder of results, beside which those of a study are"
        mistakes.append(Mistake("study", reason, f"another name, for example `{study.name}_study`"))
    _check_output(study, mistakes)
    _check_downloads(study, mistakes)
    for name, model in study.models.items():
        refer(model.download, downloads, f"models.{name}.download", "download", mistakes)
        for task in model.tasks:
            if refer(task, tasks, f"models.{name}.tasks", "task", mistakes) and task in study.tasks:
                _check_family(name, model, study.tasks[task], catalog, mistakes)
    scales: dict[str, Scale] = {}
    for name, entry in study.tasks.items():
        for key, table in entry.tables():
            if refer(table.download, downloads, f"tasks.{name}.{key}.download", "download", mistakes):
                found = check_table(study, entry, table, f"tasks.{name}.{key}", mistakes)
                if key == "train" and found is not None:
                    _check_rows(entry, found.rows, mistakes)
                    if found.scale is not None:
                        scales[name] = found.scale
        _check_task(study, entry, mistakes)
    for compression in study.compressions:
        key = f"compressions.{compression.method}"
        check_where(compression.keys.models, compression.keys.tasks, models, tasks, key, mistakes)
        _check_compression(study, compression, key, downloads, mistakes)
    for chain in study.chains:
        check_where(chain.keys.models, chain.keys.tasks, models, tasks, f"compressions.{chain.method}", mistakes)
        check_chain(study, chain, mistakes)
    for control in study.controls:
        if control.dose is None:
            check_control(study, control, models, tasks, mistakes)
        else:
            check_dose(study, control, control.dose, downloads, models, tasks, mistakes)
    for metric in study.metrics:
        key = f"metrics.{metric.name}"
        check_where(metric.keys.models, metric.keys.tasks, models, tasks, key, mistakes)
        check_metric(study, metric, catalog, mistakes)
        _compare_scales(study, metric, scales)
        for role, files in metric.keys.data.items():
            refer(files.download, downloads, f"{key}.data.{role}.download", "download", mistakes)
    check_others(study, catalog, mistakes)
    check_same_rows(study, mistakes)
    hint_control(study)
    _check_names(study, mistakes)
    tests = {f"tasks.{task.name}.test": list(task.tests) for task in study.tasks.values()}
    for section, names in {"downloads": downloads, "models": models, "tasks": tasks, **tests}.items():
        _check_spelling(section, sorted(map(str, names)), mistakes)
    _check_spelling("metrics", [metric.name for metric in study.metrics], mistakes)


def _check_spelling(section: str, names: Iterable[str], mistakes: list[Mistake]) -> None:
    """Names become parts of paths, where some characters mean something else."""
    for name in names:
        wrong = [each for each in dict.fromkeys(name) if each in NOT_IN_NAMES or not each.isprintable()]
        if wrong or name.startswith(".") or name != name.strip() or not 0 < len(name.encode()) <= LONGEST_NAME:
            reason = f"the name {name!r} cannot be part of a path"
            remedy = f"at most {LONGEST_NAME} letters, digits, -, _ and dots inside, for example"
            safe = "".join(each if each.isalnum() or each in "-_." else "-" for each in name).strip("-.")
            mistakes.append(Mistake(f"{section}.{name}", reason, f"{remedy} `{safe[:40] or 'name'}`"))


def _check_output(study: Study, mistakes: list[Mistake]) -> None:
    """Tables and figures are put where nothing else is kept."""
    place = PurePath(study.output)
    reason = ""
    if any(part.startswith(".") for part in place.parts):
        reason = "a hidden folder, where other programs keep their own"
    elif place.parts[:1] in ((PurePath(FOLDERS["download"]).name,), ("fairshrink",)):
        reason = f"in {place.parts[0]}/, which has a purpose of its own"
    elif place.parts[:1] == ("results",) and len(place.parts) > 1 and place.parts[1] in TAKEN:
        reason = "a folder of results, beside which those of a study are"
    elif any(each.exists() and not each.is_dir() for each in (Path(place), *Path(place).parents)):
        reason = "a file, and a folder is needed"
    if reason:
        mistakes.append(Mistake("output", f"'{study.output}' is {reason}", "another folder, or leave it out"))


def _check_downloads(study: Study, mistakes: list[Mistake]) -> None:
    for name, entry in study.downloads.items():
        try:
            entry.module.pin(entry.settings)
        except UserError as error:
            reason, _, remedy = str(error).rpartition("; ")
            mistakes.append(Mistake(f"downloads.{name}", reason or remedy, remedy))


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
    if task.trained and train is None:
        remedy = "`train:` with a table, or `finetune: false` for models that are ready-made"
        mistakes.append(Mistake(f"{key}.train", f"a {task.kind} task needs examples", remedy))
    check_ready_made(study, task, mistakes)
    _check_shares(task, mistakes)
    needed = {"text"} | ({"label"} if module.HEAD in ("regression", "classification") else set())
    for path, table in task.tables():
        for column in sorted(needed - set(table.columns)):
            mistakes.append(Mistake(f"{key}.{path}.columns.{column}", "this column is not named", f"`{column}: NAME`"))
    _check_pairs(task, mistakes)
    _check_labels(study, task, mistakes)
    _check_polarity(task, mistakes)
    if len(set(task.keys.splits)) != len(task.keys.splits):
        mistakes.append(Mistake(f"{key}.splits", "a split is named twice", "each number once"))
    if study.whole and not any(task.name in model.tasks for model in study.models.values()):
        mistakes.append(Mistake(key, "no model has this task", f"`{task.name}` in a model's `tasks`, or leave it out"))


def _check_shares(task: TaskEntry, mistakes: list[Mistake]) -> None:
    """Something is left to train on."""
    test, dev = getattr(task.settings, "test_share", 0.0), getattr(task.settings, "dev_share", 0.0)
    if task.keys.train is not None and not task.tests and test + dev >= 1:
        reason = f"test_share {test:g} and dev_share {dev:g} leave nothing to train on"
        mistakes.append(Mistake(f"tasks.{task.name}.test_share", reason, "shares whose sum is below 1"))


def _check_rows(task: TaskEntry, rows: int, mistakes: list[Mistake]) -> None:
    """The rows of a local table leave some to train on (`data.examples.frames` parts them)."""
    test = 0 if task.tests else max(1, round(getattr(task.settings, "test_share", 0.0) * rows))
    dev = round(getattr(task.settings, "dev_share", 0.0) * rows)
    if 0 < rows <= test + dev:
        held = f"{test} for testing and {dev} for development"
        reason = f"{rows} row{'s' * (rows > 1)}, of which {held} leave none to train on"
        mistakes.append(Mistake(f"tasks.{task.name}.train", reason, "more rows, or lower `test_share` and `dev_share`"))


def _check_pairs(task: TaskEntry, mistakes: list[Mistake]) -> None:
    """All tables of a task have single texts, or all have pairs; "all" is every test item in tables."""
    if task.main is None:
        return
    pairs = task.main.columns.get("text_pair")
    for path, table in task.tables():
        key, name = f"tasks.{task.name}.{path}.columns.text_pair", table.columns.get("text_pair")
        if pairs is not None and name is None:
            mistakes.append(Mistake(key, "other tables of the task have pairs of texts", f"`text_pair: {pairs}`"))
        elif pairs is None and name is not None:
            reason = "other tables of the task have single texts"
            mistakes.append(Mistake(key, reason, "leave it out here, or name it there too"))
    if "all" in task.tests and len(task.tests) > 1:
        reason = "tables of results call all test items together so"
        mistakes.append(Mistake(f"tasks.{task.name}.test.all", reason, "another name"))


def _check_labels(study: Study, task: TaskEntry, mistakes: list[Mistake]) -> None:
    """Names of labels: classification needs at least two, and a test table has none that training does not have."""
    known = task.labels
    for path, table in task.tables():
        key, names = f"tasks.{task.name}.{path}.labels", table.label_names
        if task.module.HEAD != "classification":
            if names:
                reason = f"a {task.kind} task has no named labels"
                mistakes.append(Mistake(key, reason, "leave `labels` out, or write `kind: classification`"))
        elif not names and task.trained and has_named_classes(study, table):
            continue
        elif not names:
            example = f"[{', '.join(known)}]" if known else "[name, name, …]"
            mistakes.append(Mistake(key, "label names are missing", f"`labels: {example}`"))
        elif table is task.main and len(names) < 2:
            mistakes.append(
                Mistake(key, "a classification task needs at least two labels", "`labels: [name, name, …]`")
            )
        elif known and (others := [name for name in names if name not in known]):
            whose = "that the model is trained on" if task.keys.train else "of the other test tables"
            reason = f"{', '.join(others)}: not among the labels {whose}, {', '.join(known)}"
            remedy = f"`labels: {{{others[0]}: NAME, …}}` with the one of those that it means, or leave the table out"
            mistakes.append(Mistake(key, reason, remedy))


def _check_polarity(task: TaskEntry, mistakes: list[Mistake]) -> None:
    """Polarity is of single texts' labels, of each of them."""
    key, polarity = f"tasks.{task.name}.polarity", task.keys.polarity
    if polarity is None:
        return
    if task.module.HEAD != "classification":
        mistakes.append(Mistake(key, f"a {task.kind} task has no named labels", "leave `polarity` out"))
    elif task.main is not None and "text_pair" in task.main.columns:
        mistakes.append(Mistake(key, "the sentiment of pairs of texts is not measured", "leave `polarity` out"))
    elif set(polarity) != set(task.labels):
        absent, others = sorted(set(task.labels) - set(polarity)), sorted(set(polarity) - set(task.labels))
        said = [f"none for {', '.join(absent)}"] if absent else []
        said += [f"{', '.join(others)}: no label"] if others else []
        written = ", ".join(f"{label}: {polarity.get(label, 0):g}" for label in task.labels)
        mistakes.append(Mistake(key, "; ".join(said), f"`polarity: {{{written}}}`, a number for each label"))


def _check_compression(
    study: Study, entry: CompressionEntry, key: str, downloads: set[str], mistakes: list[Mistake]
) -> None:
    pairs = study.compressed(entry)
    if study.whole and not pairs:
        mistakes.append(Mistake(key, "no model of the study has such a task", "other `models` or `tasks`"))
    other = brought(entry.module, entry.settings)
    if other is not None:
        refer(other.download, downloads, f"{key}.download", "download", mistakes)
    check_examples(study, entry, pairs, key, mistakes)
    check_single(entry, key, mistakes)


def _compare_scales(study: Study, entry: MetricEntry, scales: Mapping[str, Scale]) -> None:
    """Warn where a metric is told another range of labels than a task's table shows."""
    stated: Scale | None = getattr(entry.settings, "score_range", None)
    if stated is None:
        return
    low, high = stated
    for task in sorted({task for _, task in study.scored(entry)} & set(scales)):
        lowest, highest = scales[task]
        if lowest < low or highest > high or highest - lowest < (high - low) / 2:
            log(
                f"{study.file}: warning: metrics.{entry.name}.score_range is {low:g} to {high:g}, but the labels of "
                f"task '{task}' go from {lowest:g} to {highest:g}; write `score_range: [lowest, highest]` of the scale"
            )


def _check_names(study: Study, mistakes: list[Mistake]) -> None:
    for first, second in itertools.combinations(study.metrics, 2):
        both = sorted(set(study.scored(first)) & set(study.scored(second)))
        if first.name == second.name and both:
            where = ", ".join(f"{model} on {task}" for model, task in both)
            reason = f"two metrics of this name apply to {where}"
            mistakes.append(Mistake(f"metrics.{first.name}", reason, "`name: …` for one of them, or other `tasks`"))
