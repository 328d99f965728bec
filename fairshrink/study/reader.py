"""Reading a study file: YAML to a validated `Study`, or all its mistakes at once.

Pure and quick to import (neither torch nor transformers), because every start of the workflow runs it. The settings of
sources, tasks, methods and metrics are defined in their own modules, which a `Catalog` provides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, get_origin

import yaml
from pydantic import BaseModel

from fairshrink.contracts import AnyMethod
from fairshrink.keys import canonical
from fairshrink.settings import Settings, SourceSettings
from fairshrink.study import validity
from fairshrink.study.catalog import Catalog, ModulesOf
from fairshrink.study.checks import check
from fairshrink.study.mistakes import Mistake, StudyError, checked, suggestion
from fairshrink.study.schema import CompressionKeys, MetricKeys, Model, StudyKeys, TaskKeys
from fairshrink.study.study import CompressionEntry, Download, MetricEntry, Study, TaskEntry

M = TypeVar("M", bound="_HasSettings")
K = TypeVar("K", bound=BaseModel)


class _HasSettings(Protocol):
    """A module with a class that validates its settings."""

    @property
    def Settings(self) -> type[BaseModel]:  # noqa: N802
        """The class."""


@dataclass(frozen=True)
class _Kind(Generic[M, K]):
    """How entries of a section are read: their modules, the key that names a module, the keys common to all entries."""

    section: str
    selector: str
    modules: ModulesOf[M]
    common: type[K]


@dataclass(frozen=True)
class _Parsed(Generic[M, K]):
    """An entry whose values are valid one by one."""

    name: str
    module_name: str
    module: M
    settings: Any
    keys: K
    explicit: frozenset[str]


def load(file: str | Path, catalog: Catalog) -> Study:
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
    return validate(raw, str(file), catalog, mistakes)


def validate(raw: object, file: str, catalog: Catalog, mistakes: list[Mistake] | None = None) -> Study:
    """Validate the mapping of a study's file. Raises `StudyError` with all its mistakes."""
    mistakes = [] if mistakes is None else mistakes
    if not isinstance(raw, dict):
        raise StudyError(file, [Mistake("(the file)", "not a mapping of keys to values", "see docs/study.md")])
    keys = _top_level(raw, file, mistakes)
    study = Study(
        name=keys.study,
        file=file,
        seed=keys.seed,
        downloads=_downloads(keys, catalog, Path(file).resolve().parent, mistakes),
        models=_models(keys, mistakes),
        tasks=_tasks(keys, catalog, mistakes),
        compressions=list(_compressions(keys.compressions, catalog, mistakes)),
        metrics=_metrics(keys, catalog, mistakes),
        statistics=keys.statistics,
        execution=keys.execution,
        output=keys.output.rstrip("/"),
        validity=validity.read(keys.validity, Path(file).resolve().parent, mistakes),
    )
    check(study, catalog, set(keys.downloads), set(keys.models), set(keys.tasks), mistakes)
    if mistakes:
        raise StudyError(file, mistakes)
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


def _downloads(keys: StudyKeys, catalog: Catalog, folder: Path, mistakes: list[Mistake]) -> dict[str, Download]:
    kind = _Kind("downloads", "source", catalog.sources, Settings)
    found = {}
    for name, values in keys.downloads.items():
        each = _entry(kind, name, values, f"downloads.{name}", mistakes)
        if each is not None:
            settings: SourceSettings = each.settings
            found[name] = Download(name, each.module_name, each.module, settings.anchored(folder))
    return found


def _models(keys: StudyKeys, mistakes: list[Mistake]) -> dict[str, Model]:
    found = {}
    for name, values in keys.models.items():
        model = checked(Model, values if isinstance(values, dict) else {}, f"models.{name}", mistakes)
        if model is not None:
            found[name] = model
    return found


def _tasks(keys: StudyKeys, catalog: Catalog, mistakes: list[Mistake]) -> dict[str, TaskEntry]:
    kind = _Kind("tasks", "kind", catalog.tasks, TaskKeys)
    found = {}
    for name, values in keys.tasks.items():
        each = _entry(kind, name, values, f"tasks.{name}", mistakes)
        if each is not None:
            entry = TaskEntry(name, each.module_name, each.module, each.settings, each.keys)
            table = next((table for _, table in entry.tables()), None)
            columns: set[str] = set(table.columns) if table else set()
            provided = each.module.provides(each.settings, columns, table.label_names if table else None)
            found[name] = TaskEntry(name, each.module_name, each.module, each.settings, each.keys, provided)
    return found


def _metrics(keys: StudyKeys, catalog: Catalog, mistakes: list[Mistake]) -> list[MetricEntry]:
    kind = _Kind("metrics", "metric", catalog.metrics, MetricKeys)
    found = []
    for position, values in enumerate(keys.metrics):
        name = str(values.get("name") or values.get("metric", position))
        each = _entry(kind, name, values, f"metrics[{position}]", mistakes)
        if each is not None:
            found.append(MetricEntry(name, each.module_name, each.module, each.settings, each.keys))
    return found


def _compressions(
    entries: Iterable[dict[str, Any]], catalog: Catalog, mistakes: list[Mistake]
) -> Iterator[CompressionEntry]:
    """One entry for each point of each grid; equal points are mistakes."""
    kind = _Kind("compressions", "method", catalog.compression, CompressionKeys)
    seen: dict[tuple[str, str, str], str] = {}
    for position, values in enumerate(entries):
        key = f"compressions[{position}]"
        for point in _grid(values, kind.modules):
            each = _entry(kind, str(values.get("method")), point, key, mistakes)
            if each is None:
                continue
            entry = CompressionEntry(each.module_name, each.module, each.settings, each.keys, each.explicit)
            for where in itertools.product(each.keys.models or ("*",), each.keys.tasks or ("*",)):
                identity = (entry.method, canonical(entry.settings.model_dump(mode="json")), str(where))
                if identity in seen:
                    reason = f"{entry.method} with {point} is in {seen[identity]} already"
                    mistakes.append(Mistake(key, reason, "leave one of the two out"))
                    break
                seen[identity] = key
            else:
                yield entry


def _grid(values: dict[str, Any], modules: ModulesOf[AnyMethod]) -> Iterator[dict[str, Any]]:
    method = values.get("method")
    fields = modules[method].Settings.model_fields if isinstance(method, str) and method in modules else {}
    axes = {
        name: value
        for name, value in values.items()
        if isinstance(value, list) and name in fields and get_origin(fields[name].annotation) not in (list, tuple)
    }
    for point in itertools.product(*axes.values()):
        yield values | dict(zip(axes, point, strict=True))


def _entry(kind: _Kind[M, K], name: str, values: object, key: str, mistakes: list[Mistake]) -> _Parsed[M, K] | None:
    selector, modules = kind.selector, kind.modules
    stated: Mapping[str, Any] = values if isinstance(values, dict) else {}
    module_name = stated.get(selector)
    if not isinstance(module_name, str):
        known = suggestion("", modules.names())
        mistakes.append(Mistake(f"{key}.{selector}", "this key is missing", f"`{selector}: NAME` with {known}"))
        return None
    if module_name not in modules:
        remedy = suggestion(module_name, modules.names())
        mistakes.append(Mistake(f"{key}.{selector}", f"there is no {selector} '{module_name}'", remedy))
        return None
    module = modules[module_name]
    shared = {k: v for k, v in stated.items() if k in kind.common.model_fields}
    own = {k: v for k, v in stated.items() if k not in kind.common.model_fields and k != selector}
    keys = checked(kind.common, shared, key, mistakes)
    settings = checked(module.Settings, own, key, mistakes, also=kind.common.model_fields)
    if keys is None or settings is None:
        return None
    return _Parsed(name, module_name, module, settings, keys, frozenset(own))


def _loader(mistakes: list[Mistake]) -> type[yaml.SafeLoader]:
    """A YAML loader that reports duplicate keys, which plain YAML drops silently."""

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            name = loader.construct_object(key_node, deep=True)
            if name in seen:
                line = key_node.start_mark.line + 1
                mistakes.append(
                    Mistake(f"{name} (line {line})", "this key is written twice", "it once, or under another name")
                )
            seen.add(name)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return Loader
