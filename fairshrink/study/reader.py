"""Reading a study file: YAML to a validated `Study`, or all its mistakes at once.

Pure and quick to import (neither torch nor transformers), because every start of the workflow runs it. The settings of
sources, tasks, methods and metrics are defined in their own modules, which a `Catalog` provides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairshrink.settings import Settings, SourceSettings
from fairshrink.study import chains, methods, validity, yaml_file
from fairshrink.study.catalog import Catalog
from fairshrink.study.checks import check
from fairshrink.study.entries import Kind, read_entry
from fairshrink.study.mistakes import Mistake, StudyError, checked
from fairshrink.study.schema import MetricKeys, Model, StudyKeys, TaskKeys
from fairshrink.study.study import Download, MetricEntry, Study, TaskEntry
from fairshrink.study.varied import varied

Recall = Callable[[str], Mapping[str, Any] | None]
"""The pin of a local source that is not on this machine, by the name of its download; None if it is not known."""


def load(file: str | Path, catalog: Catalog, recall: Recall = lambda name: None) -> Study:
    """Read and validate a study. Raises `StudyError` with all its mistakes."""
    path = Path(file)
    if not path.is_file():
        reason = "it is a folder" if file and path.is_dir() else "it does not exist"
        raise StudyError(str(file), [Mistake("(the file)", reason, "the path of a study, e.g. config.yaml")])
    mistakes: list[Mistake] = []
    return validate(yaml_file.read(path, mistakes), str(file), catalog, mistakes, recall)


def validate(
    raw: object,
    file: str,
    catalog: Catalog,
    mistakes: list[Mistake] | None = None,
    recall: Recall = lambda name: None,
) -> Study:
    """Validate the mapping of a study's file. Raises `StudyError` with all its mistakes."""
    mistakes = [] if mistakes is None else mistakes
    if not isinstance(raw, dict):
        raise StudyError(file, [Mistake("(the file)", "not a mapping of keys to values", "see docs/study.md")])
    keys = _top_level(raw, file, mistakes)
    models, tasks = _models(keys, mistakes), _tasks(keys, catalog, mistakes)
    study = Study(
        name=keys.study,
        file=file,
        seed=keys.seed,
        downloads=_downloads(keys, catalog, Path(file).resolve().parent, recall, mistakes),
        models=models,
        tasks=tasks,
        compressions=list(methods.compressions(keys.compressions, catalog, mistakes)),
        chains=list(chains.chains(keys.compressions, catalog, mistakes)),
        metrics=_metrics(keys, catalog, mistakes),
        controls=[
            *methods.controls(keys.controls, catalog, mistakes),
            *methods.doses(keys.doses, catalog, mistakes),
        ],
        statistics=keys.statistics,
        execution=keys.execution,
        output=keys.output.rstrip("/"),
        validity=validity.read(keys.validity, Path(file).resolve().parent, mistakes),
        whole=set(models) == set(keys.models) and set(tasks) == set(keys.tasks),
    )
    check(study, catalog, set(keys.downloads), set(keys.models), set(keys.tasks), mistakes)
    if mistakes:
        raise StudyError(file, list(dict.fromkeys(mistakes)))
    return study


def _top_level(raw: dict[str, Any], file: str, mistakes: list[Mistake]) -> StudyKeys:
    """The top-level keys; if some are wrong, the others, so that mistakes inside them are found as well."""
    found: list[Mistake] = []
    keys = checked(StudyKeys, raw, "", found)
    mistakes += [Mistake(each.key.lstrip("."), each.reason, each.remedy) for each in found]
    if keys is not None:
        return keys
    wrong = {each.key.lstrip(".").split(".")[0] for each in found}
    usable = {name: value for name, value in raw.items() if name in StudyKeys.model_fields and name not in wrong}
    keys = checked(StudyKeys, {"study": "unnamed"} | usable, "", [])
    if keys is None:
        raise StudyError(file, mistakes)
    return keys


def _downloads(
    keys: StudyKeys, catalog: Catalog, folder: Path, recall: Recall, mistakes: list[Mistake]
) -> dict[str, Download]:
    kind = Kind("downloads", "source", catalog.sources, Settings)
    found = {}
    for name, values in keys.downloads.items():
        each = read_entry(kind, name, values, f"downloads.{name}", mistakes)
        if each is not None:
            given: SourceSettings = each.settings
            settings = given.anchored(folder)
            if settings.local is not None and Path.cwd().is_relative_to(settings.local.resolve()):
                reason = f"{settings.local}: results would be put into this local source itself"
                mistakes.append(Mistake(f"downloads.{name}.path", reason, "a folder or file inside of it"))
                continue
            if settings.local is not None and not settings.local.exists():
                pin = recall(name)
                settings = settings if pin is None else settings.recalled(pin)
            found[name] = Download(name, each.module_name, each.module, settings)
    return found


def _models(keys: StudyKeys, mistakes: list[Mistake]) -> dict[str, Model]:
    found = {}
    for name, values in keys.models.items():
        model = checked(Model, values if isinstance(values, dict) else {}, f"models.{name}", mistakes)
        if model is not None:
            found[name] = model
    return found


def _tasks(keys: StudyKeys, catalog: Catalog, mistakes: list[Mistake]) -> dict[str, TaskEntry]:
    kind = Kind("tasks", "kind", catalog.tasks, TaskKeys)
    found = {}
    for name, values in keys.tasks.items():
        each = read_entry(kind, name, values, f"tasks.{name}", mistakes)
        if each is not None:
            entry = TaskEntry(name, each.module_name, each.module, each.settings, each.keys)
            columns: set[str] = set(entry.main.columns) if entry.main else set()
            provided = each.module.provides(each.settings, columns, entry.labels)
            if each.keys.polarity:
                provided |= {"sentiment"}
            found[name] = TaskEntry(name, each.module_name, each.module, each.settings, each.keys, provided)
    return found


def _metrics(keys: StudyKeys, catalog: Catalog, mistakes: list[Mistake]) -> list[MetricEntry]:
    kind = Kind("metrics", "metric", catalog.metrics, MetricKeys)
    found = []
    for position, values in enumerate(keys.metrics):
        base, key = str(values.get("name") or values.get("metric", position)), f"metrics[{position}]"
        for suffix, point in varied(values, kind, key, mistakes):
            name = base + suffix
            each = read_entry(kind, name, point, key, mistakes)
            if each is not None:
                found.append(MetricEntry(name, each.module_name, each.module, each.settings, each.keys))
    return found
