"""Checks of metrics: whether models and tasks of a study give what a metric needs, before anything is computed."""

from __future__ import annotations

from fairshrink.contracts import ModelTraits
from fairshrink.study.abilities import TASK_HEADS_OF_FAMILY, listed, takes, unsuited, ways, within_reach
from fairshrink.study.catalog import Catalog, every_role
from fairshrink.study.mistakes import Mistake, suggestion
from fairshrink.study.study import MetricEntry, Study, TaskEntry


def check_metric(study: Study, entry: MetricEntry, catalog: Catalog, mistakes: list[Mistake]) -> None:
    """Add the mistakes of an entry under ``metrics``."""
    key = f"metrics.{entry.name}"
    _check_tasks(study, entry, catalog, key, mistakes)
    _check_models(study, entry, catalog, key, mistakes)
    _check_settings(study, entry, key, mistakes)
    _check_compared(study, entry, key, mistakes)
    roles = every_role(entry.module)
    for role in sorted(set(entry.module.ROLES) - set(entry.keys.data)):
        reason = f"its data are not named ({roles[role]})"
        mistakes.append(Mistake(f"{key}.data.{role}", reason, "`download:` and `file:`"))
    for role in sorted(set(entry.keys.data) - set(roles)):
        mistakes.append(Mistake(f"{key}.data.{role}", f"there is no role '{role}'", suggestion(role, roles)))


def _check_tasks(study: Study, entry: MetricEntry, catalog: Catalog, key: str, mistakes: list[Mistake]) -> None:
    needed = entry.module.NEEDS
    able = sorted(name for name, task in study.tasks.items() if task.provides & needed)
    needs = f"{entry.metric} needs a task that gives {' or '.join(sorted(needed))}"
    for name in entry.keys.tasks or ():
        if name in study.tasks and name not in able:
            task = study.tasks[name]
            remedy = f"{suggestion('', able)}; or {_change(task, entry)}" if able else _change(task, entry)
            what = listed(takes(task.provides, catalog.metrics))
            mistakes.append(
                Mistake(f"{key}.tasks", f"{needs}; '{name}' does not", f"{remedy} ('{name}' can take {what})")
            )
    if study.whole and not able:
        reachable = within_reach(
            [head for model in study.models.values() for head in TASK_HEADS_OF_FAMILY[model.family]], catalog.tasks
        )
        add = ways(needed, reachable)
        remedy = f"add {add}, or leave the metric out" if add else "leave the metric out"
        changes = [_change(task, entry) for task in study.tasks.values() if _nearly(task, entry)]
        mistakes.append(Mistake(key, f"{needs}; no task of the study does", "; or ".join([*changes, remedy])))


def _check_models(study: Study, entry: MetricEntry, catalog: Catalog, key: str, mistakes: list[Mistake]) -> None:
    """Each model, and each task, that is named has to be scored at least once."""
    pairs, before = study.scored(entry), len(mistakes)
    named = [name for name in entry.keys.tasks or () if name in study.tasks]
    for name in entry.keys.models or ():
        model = study.models.get(name)
        if model is None or any(name == each for each, _ in pairs) or not study.whole:
            continue
        tasks = {task: study.tasks[task] for task in model.tasks}
        others = [task for task in named if study.tasks[task].provides & entry.module.NEEDS]
        provided = set().union(*(task.provides for task in tasks.values()))
        if provided & entry.module.NEEDS:
            reason = f"model '{name}' has none of the tasks {', '.join(named)}"
            has = [task for task, each in tasks.items() if each.provides & entry.module.NEEDS]
            mistakes.append(Mistake(f"{key}.models", reason, f"`tasks: [{', '.join(has)}]`, or other models"))
            continue
        reason = (
            f"{entry.metric} needs a task that gives {' or '.join(sorted(entry.module.NEEDS))}; model '{name}' has "
            f"{', '.join(f'{task} ({each.kind})' for task, each in tasks.items())}"
        )
        reachable = within_reach(TASK_HEADS_OF_FAMILY[model.family], catalog.tasks)
        add = ways(entry.module.NEEDS, reachable)
        give = f"`{others[0]}` in models.{name}.tasks" if others and add else f"a task for it: {add}" if add else ""
        can = f"other models: '{name}' can take {listed(takes(provided, catalog.metrics))}"
        mistakes.append(Mistake(f"{key}.models", reason, f"{can}; or {give}" if give else can))
    for task in named if entry.keys.models and study.whole and len(mistakes) == before else ():
        if not any(task == each for _, each in pairs):
            having = [name for name, model in study.models.items() if task in model.tasks]
            if study.tasks[task].provides & entry.module.NEEDS and not set(having) & set(entry.keys.models or ()):
                reason = f"none of its models has task '{task}'"
                mistakes.append(Mistake(f"{key}.tasks", reason, f"leave it out, or `models: [{', '.join(having)}]`"))


def _check_settings(study: Study, entry: MetricEntry, key: str, mistakes: list[Mistake]) -> None:
    """What does not suit a model whatever its files say; those that are here are looked at with the model."""
    for model, task in study.scored(entry):
        for setting, reason, remedy in unsuited(
            entry.module, entry.settings, ModelTraits(study.tasks[task].module.HEAD)
        ):
            mistakes.append(Mistake(f"{key}.{setting}", f"models.{model}: {reason}", f"{remedy}, or other `models`"))


def _check_compared(study: Study, entry: MetricEntry, key: str, mistakes: list[Mistake]) -> None:
    """A metric that compares with the baseline has something to compare."""
    pairs = set(study.scored(entry))
    if not entry.module.NEEDS_BASELINE or not pairs or not study.whole:
        return
    made = [study.compressed(each) for each in study.compressions]
    made += [study.compressed(each) for each in study.chains]
    made += [
        [pair for pair in study.controlled(each) if each.shown_by(entry, study.tasks[pair[1]].provides)]
        for each in study.controls
    ]
    if not any(pairs & set(each) for each in made):
        reason = (
            f"{entry.metric} compares checkpoints with the baseline that they are made of, and nothing is made of one"
        )
        mistakes.append(
            Mistake(key, reason, "`compressions` or `controls` of the models that it scores, or leave it out")
        )


def _nearly(task: TaskEntry, entry: MetricEntry) -> bool:
    """Whether other labels, or their polarity, would make a task give what a metric needs."""
    pairs = task.main is not None and "text_pair" in task.main.columns
    if task.module.HEAD != "classification":
        return False
    return ("sentiment" in entry.module.NEEDS and not pairs) or ("nli" in entry.module.NEEDS and pairs)


def _change(task: TaskEntry, entry: MetricEntry) -> str:
    """What to change of a task so that it gives what a metric needs, or to leave it out."""
    if not _nearly(task, entry):
        return "leave the metric out"
    if "nli" in entry.module.NEEDS and task.main is not None and "text_pair" in task.main.columns:
        names = ", ".join(
            f"{mine}: {each}"
            for mine, each in zip(task.labels, ("entailment", "neutral", "contradiction"), strict=False)
        )
        return f"if '{task.name}' is inference, say which label is which: `labels: {{{names}}}`"
    numbers = ", ".join(f"{label}: …" for label in task.labels)
    return f"say how positive its labels are: tasks.{task.name}.polarity, `polarity: {{{numbers}}}`"
