"""A study: the config file that says which models, tasks, compressions and metrics, validated before anything runs.

Pure and quick to import (neither torch nor transformers), because every start of the workflow goes through here.
The settings of sources, tasks, compressions and metrics stand in their own modules, found by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel

from fairshrink import registry
from fairshrink.keys import canonical
from fairshrink.settings import Settings
from fairshrink.study.checks import Entry, Study, applies_to, check
from fairshrink.study.mistakes import Mistake, StudyError, checked, suggestion
from fairshrink.study.schema import CompressionKeys, MetricKeys, Model, StudyKeys, Table, TaskKeys

__all__ = ["Entry", "Study", "applies_to", "load", "validate"]


def load(file: str | Path) -> Study:
    """Read and validate a study. Raises `StudyError` with all its mistakes."""
    path = Path(file)
    if not path.is_file():
        raise StudyError(
            str(file), [Mistake("(the file)", "it does not exist", "the path of a study, e.g. config.yaml")]
        )
    mistakes: list[Mistake] = []
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _loader(mistakes))
    except yaml.YAMLError as error:
        raise StudyError(str(file), [Mistake("(the file)", f"not valid YAML: {error}", "valid YAML")]) from error
    return validate(raw, str(file), mistakes)


def validate(raw: Any, file: str, mistakes: list[Mistake] | None = None) -> Study:
    """Validate the mapping of a study's file. Raises `StudyError` with all its mistakes."""
    mistakes = [] if mistakes is None else mistakes
    if not isinstance(raw, dict):
        raise StudyError(file, [Mistake("(the file)", "not a mapping of keys to values", "see docs/study.md")])
    keys = _top_level(raw, file, mistakes)
    folder = Path(file).resolve().parent
    downloads = dict(_entries("sources", "source", Settings, keys.downloads.items(), "downloads", mistakes))
    downloads = {name: _anchored(entry, folder) for name, entry in downloads.items()}
    models = {}
    for name, values in keys.models.items():
        model = checked(Model, values if isinstance(values, dict) else {}, f"models.{name}", mistakes)
        models |= {name: model} if model else {}
    tasks = dict(_entries("tasks", "kind", TaskKeys, keys.tasks.items(), "tasks", mistakes))
    compressions = list(_compressions(keys.compressions, mistakes))
    named = [
        (str(values.get("name") or values.get("metric", position)), values)
        for position, values in enumerate(keys.metrics)
    ]
    metrics = [entry for _, entry in _entries("metrics", "metric", MetricKeys, named, "metrics", mistakes)]
    study = Study(
        name=keys.study, file=file, seed=keys.seed, downloads=downloads, models=models, tasks=tasks,
        compressions=compressions, metrics=metrics, statistics=keys.statistics, execution=keys.execution,
        output=keys.output.rstrip("/"),
        capabilities={name: capabilities(task) for name, task in tasks.items()},
    )  # fmt: skip
    check(study, set(keys.downloads), set(keys.models), set(keys.tasks), mistakes)
    if mistakes:
        raise StudyError(file, mistakes)
    return study


def _top_level(raw: dict[str, Any], file: str, mistakes: list[Mistake]) -> StudyKeys:
    """The top-level keys; where some are wrong, the others, so that the mistakes inside them are found as well."""
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


def capabilities(task: Entry) -> frozenset[str]:
    """What a checkpoint of this task can be asked for; metrics need one of these."""
    module = registry.load("tasks", task.module)
    table: Table | None = task.common.train or next(iter((task.common.test or {}).values()), None)
    columns = set(table.columns) if table else set()
    return frozenset(module.provides(task.settings, columns, table.labels if table else None))


def _loader(mistakes: list[Mistake]) -> type[yaml.SafeLoader]:
    """A YAML loader that reports keys written twice, which plain YAML drops in silence."""

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            name = loader.construct_object(key_node, deep=True)
            if name in seen:
                line = key_node.start_mark.line + 1
                mistakes.append(
                    Mistake(f"{name} (line {line})", "this key stands twice", "it once, or under another name")
                )
            seen.add(name)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return Loader


def _entries(
    kind: str,
    selector: str,
    common: type[BaseModel],
    items: Iterable[tuple[str, Any]],
    section: str,
    mistakes: list[Mistake],
) -> Iterator[tuple[str, Entry]]:
    for position, (name, values) in enumerate(items):
        key = f"{section}.{name}" if section != "metrics" else f"metrics[{position}]"
        entry = _entry(kind, selector, common, name, values, key, mistakes)
        if entry is not None:
            yield name, entry


def _entry(
    kind: str, selector: str, common: type[BaseModel], name: str, values: Any, key: str, mistakes: list[Mistake]
) -> Entry | None:
    module_name = values.get(selector) if isinstance(values, dict) else None
    if not isinstance(module_name, str):
        known = suggestion("", registry.names(kind))
        mistakes.append(Mistake(f"{key}.{selector}", "this key is missing", f"`{selector}: NAME` with {known}"))
        return None
    if module_name not in registry.names(kind):
        remedy = suggestion(module_name, registry.names(kind))
        mistakes.append(Mistake(f"{key}.{selector}", f"there is no {selector} '{module_name}'", remedy))
        return None
    module = registry.load(kind, module_name)
    shared = {k: v for k, v in values.items() if k in common.model_fields}
    own = {k: v for k, v in values.items() if k not in common.model_fields and k != selector}
    common_keys = checked(common, shared, key, mistakes)
    settings = checked(module.Settings, own, key, mistakes, also=common.model_fields)
    if common_keys is None or settings is None:
        return None
    return Entry(name, module_name, settings, common_keys, frozenset(own))


def _compressions(entries: list[dict[str, Any]], mistakes: list[Mistake]) -> Iterator[Entry]:
    """One entry for each point of each grid; equal points are mistakes."""
    seen: dict[tuple[str, str, str], str] = {}
    for position, values in enumerate(entries):
        key = f"compressions[{position}]"
        for point in _grid(values):
            entry = _entry("compression", "method", CompressionKeys, str(values.get("method")), point, key, mistakes)
            if entry is None:
                continue
            for where in itertools.product(entry.common.models or ("*",), entry.common.tasks or ("*",)):
                identity = (entry.module, canonical(entry.settings.model_dump(mode="json")), str(where))
                if identity in seen:
                    reason = f"{entry.module} with {point} stands in {seen[identity]} already"
                    mistakes.append(Mistake(key, reason, "leave one of the two out"))
                    break
                seen[identity] = key

            else:
                yield entry


def _grid(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    method = values.get("method")
    fields = (
        registry.load("compression", method).Settings.model_fields if method in registry.names("compression") else {}
    )
    axes = {
        name: value
        for name, value in values.items()
        if isinstance(value, list) and name in fields and get_origin(fields[name].annotation) not in (list, tuple)
    }
    for point in itertools.product(*axes.values()):
        yield values | dict(zip(axes, point, strict=True))


def _anchored(entry: Entry, folder: Path) -> Entry:
    """Local paths are relative to the study's file, wherever the workflow is started."""
    path = getattr(entry.settings, "path", None)
    if entry.module != "local" or path is None:
        return entry
    return Entry(entry.name, entry.module, entry.settings.model_copy(update={"path": str(folder / path)}), entry.common)
