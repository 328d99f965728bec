"""What a study uses of its downloads, and whether it is there: looked at before any job, or right after a download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from fairshrink.contracts import Fitting, Part, Removal, Selective, TaskHead
from fairshrink.data.faults import TableError
from fairshrink.data.quotes import doubtful
from fairshrink.data.refusing import examples, read
from fairshrink.data.table import Table, TableReference
from fairshrink.data.tables import find
from fairshrink.models import folder as model_folder
from fairshrink.models.architecture.families import refusals, removable_heads
from fairshrink.models.given import looking
from fairshrink.models.traits import traits
from fairshrink.store import lfs
from fairshrink.study.abilities import heads_of, listed, takes, unsuited, within_reach
from fairshrink.study.brought import brought
from fairshrink.study.catalog import Catalog
from fairshrink.study.mistakes import Mistake
from fairshrink.study.study import Study, TaskEntry

SHOWN = 10
Scale = tuple[float, float]
"""The lowest and the highest of the labels that are numbers."""


@dataclass(frozen=True)
class ModelUse:
    """A model in a folder of a download; ``key`` is its place in the study, as in the others.

    ``parts``: what is compressed of it, after the place of the compression or control, and which share is removed.
    ``fitting``: place, name and settings (as JSON: jobs read them) of methods whose settings have to fit its sizes.
    ``scoring``: the same of metrics whose settings have to suit it, and the task head with which it is scored.
    """

    key: str
    folder: str
    gguf_file: str | None
    heads: tuple[TaskHead, ...]
    parts: tuple[tuple[str, Part, float | None], ...] = ()
    fitting: tuple[tuple[str, str, str], ...] = ()
    scoring: tuple[tuple[str, str, str, TaskHead], ...] = ()
    kind: Literal["model"] = "model"


@dataclass(frozen=True)
class TableUse:
    """A table of examples; ``classes``: whether its labels are classes of a classification task."""

    key: str
    table: Table
    classes: bool
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class FilesUse:
    """Files or folders that a metric reads."""

    key: str
    files: tuple[str, ...]
    kind: Literal["files"] = "files"


@dataclass(frozen=True)
class GivenUse:
    """A checkpoint that others have compressed; ``trains`` and what follows as `looking.wrong` takes them."""

    key: str
    folder: str
    file: str | None
    heads: tuple[TaskHead, ...]
    trains: bool
    originals: tuple[str, ...]
    own_runtime: bool = False
    kind: Literal["given"] = "given"


Use = ModelUse | TableUse | FilesUse | GivenUse


@dataclass(frozen=True)
class Found:
    """What a table has: rows that can be used, and the scale of its labels if these are numbers."""

    rows: int
    scale: Scale | None


def uses(study: Study) -> Iterator[tuple[str, Use]]:
    """Every use, with the name of the download."""
    for name, model in study.models.items():
        heads = dict.fromkeys(study.tasks[task].module.HEAD for task in model.tasks if task in study.tasks)
        parts = tuple(dict.fromkeys(_parts(study, name)))
        fitting = tuple(dict.fromkeys(_fitting(study, name)))
        scoring = tuple(dict.fromkeys(_scoring(study, name)))
        key, file = f"models.{name}", model.gguf_file
        yield model.download, ModelUse(key, model.folder, file, tuple(heads), parts, fitting, scoring)
    yield from _given(study)
    for name, task in study.tasks.items():
        for path, table in task.tables():
            yield table.download, TableUse(f"tasks.{name}.{path}", table, _has_classes(task))
    for control in study.controls:
        if control.dose is not None:
            name = control.setting.partition("=")[0]
            for named in control.keys.tasks or ():
                if named in study.tasks:
                    use = TableUse(f"doses.{name}.table", control.dose, _has_classes(study.tasks[named]))
                    yield control.dose.download, use
    for metric in study.metrics:
        for role, files in metric.keys.data.items():
            yield files.download, FilesUse(f"metrics.{metric.name}.data.{role}", tuple(files.files))


def _given(study: Study) -> Iterator[tuple[str, GivenUse]]:
    """Checkpoints beside their originals; those that are on this machine are named, so that words can be compared."""
    for entry in study.compressions:
        other, pairs = brought(entry.module, entry.settings), study.compressed(entry)
        if other is None:
            continue
        heads = dict.fromkeys(study.tasks[task].module.HEAD for _, task in pairs)
        trains = other.finetune and any(study.tasks[task].trained for _, task in pairs)
        originals = []
        for model in (study.models[name] for name in dict.fromkeys(name for name, _ in pairs)):
            download = study.downloads.get(model.download)
            if download is not None and download.settings.local is not None and not model.gguf_file:
                originals.append(str(download.settings.local / model.folder))
        key = f"compressions.{entry.method}"
        told = (key, other.folder, other.file, tuple(heads), trains, tuple(originals), other.own_runtime)
        yield other.download, GivenUse(*told)


def _parts(study: Study, model: str) -> Iterator[tuple[str, Part, float | None]]:
    for entry in study.compressions:
        if any(each == model for each, _ in study.compressed(entry)):
            removes = entry.module.REMOVES if isinstance(entry.module, Removal) else "linears"
            yield f"compressions.{entry.method}", removes, getattr(entry.settings, "sparsity", None)
    for chain in study.chains:
        if any(each == model for each, _ in study.compressed(chain)):
            for step in chain.steps:
                removes = step.module.REMOVES if isinstance(step.module, Removal) else "linears"
                yield f"compressions.{chain.method}", removes, getattr(step.settings, "sparsity", None)
    for control in study.controls:
        if isinstance(control.module, Removal) and any(each == model for each, _ in study.controlled(control)):
            share = getattr(control.settings, "sparsity", None)
            yield f"controls.{control.method}", control.module.REMOVES, share


def _fitting(study: Study, model: str) -> Iterator[tuple[str, str, str]]:
    for entry in study.compressions:
        if isinstance(entry.module, Fitting) and any(each == model for each, _ in study.compressed(entry)):
            yield f"compressions.{entry.method}", entry.method, entry.settings.model_dump_json()
    for chain in study.chains:
        if any(each == model for each, _ in study.compressed(chain)):
            for step in chain.steps:
                if isinstance(step.module, Fitting):
                    yield f"compressions.{chain.method}", step.method, step.settings.model_dump_json()


def _scoring(study: Study, model: str) -> Iterator[tuple[str, str, str, TaskHead]]:
    for entry in study.metrics:
        if isinstance(entry.module, Selective):
            for scored, task in study.scored(entry):
                if scored == model:
                    head = study.tasks[task].module.HEAD
                    yield f"metrics.{entry.name}", entry.metric, entry.settings.model_dump_json(), head


def _has_classes(task: TaskEntry) -> bool:
    return task.module.HEAD == "classification"


def mistakes_in(use: Use, root: Path, catalog: Catalog) -> list[Mistake]:
    """What is wrong with a use of the download that is the folder, or the one file, ``root``."""
    if isinstance(use, ModelUse):
        return _model(use, root, catalog)
    if isinstance(use, FilesUse):
        return list(_files(use, root))
    if isinstance(use, GivenUse):
        return list(_given_mistakes(use, root))
    found: list[Mistake] = []
    read_table(use, root, found)
    return found


def read_table(use: TableUse, root: Path, mistakes: list[Mistake]) -> Found | None:
    """What a table has, None where nothing could be read; what is wrong is added to ``mistakes``."""
    table = use.table
    if table.split is not None:
        return _read_split(use, root, mistakes)
    if bool(table.labels) != use.classes:
        # Whether labels are named at all is a mistake of its own, which would make each of them one.
        without = {role: column for role, column in table.columns.items() if role != "label"}
        table = table.model_copy(update={"columns": without, "labels": None, "drop_labels": []})
    numbers: list[float] = []
    rows = 0
    for name in table.files:
        try:
            path = find(root, name)
            if lfs.is_pointer(path):
                mistakes.append(_mistake(f"{use.key}.file", lfs.missing([name])))
                continue
            found = examples(path, table)
        except TableError as error:
            mistakes += _of_table(use, error)
        except OSError as error:
            reason = f"{error.filename or name} cannot be read ({error.strerror}); change its permissions"
            mistakes.append(_mistake(f"{use.key}.file", reason))
        else:
            doubts = TableError(*doubtful(str(path), found, table))
            mistakes += _of_table(use, doubts)
            rows += len(found.rows)
            numbers += [float(label) for label in found.columns.get("label", ()) if not table.labels]
    return Found(rows, (min(numbers), max(numbers)) if numbers else None)


def _read_split(use: TableUse, root: Path, mistakes: list[Mistake]) -> Found | None:
    given = use.table.model_dump(exclude={"download"})
    try:
        return Found(len(read(TableReference(path=str(root), named=use.classes, **given))), None)
    except TableError as error:
        mistakes += _of_table(use, error)
    return None


def _of_table(use: TableUse, error: TableError) -> Iterator[Mistake]:
    for each in error.faults:
        yield Mistake(f"{use.key}.{each.key}" if each.key else use.key, each.reason, each.remedy)


def _model(use: ModelUse, root: Path, catalog: Catalog) -> list[Mistake]:
    folder = root / use.folder
    if root.is_file():
        if use.gguf_file != root.name or use.folder != ".":
            reason = (
                f"the download is the one file {root.name}; name the folder of a model, or a GGUF file by `gguf_file`"
            )
            return [_mistake(f"{use.key}.download", reason)]
        folder = root.parent
    if not folder.is_dir():
        return [
            _mistake(f"{use.key}.folder", f"there is no folder '{use.folder}' in the download; {_folders(use, root)}")
        ]
    key = f"{use.key}.gguf_file" if use.gguf_file else use.key
    reasons = model_folder.wrong(folder, use.heads, use.gguf_file)
    config = model_folder.config_of(folder, use.gguf_file)
    if not reasons:
        return [*_compressed(use, config, catalog), *_scored(use, folder, config, catalog)]
    can = _instead(use, config, catalog)
    return [_mistake(key, f"the model in {folder.as_posix()}: {each}{can}") for each in reasons]


def _given_mistakes(use: GivenUse, root: Path) -> Iterator[Mistake]:
    folder = root.parent if root.is_file() else root / use.folder
    if not folder.is_dir():
        yield _mistake(f"{use.key}.folder", f"there is no folder '{use.folder}' in the download; write another one")
        return
    originals = [Path(each) for each in use.originals]
    told = (folder, use.heads, use.file)
    for reason in looking.wrong(*told, trains=use.trains, originals=originals, own_runtime=use.own_runtime):
        yield _mistake(f"{use.key}.file" if use.file else use.key, f"the checkpoint in {folder.as_posix()}: {reason}")


def _instead(use: ModelUse, config: Mapping[str, Any], catalog: Catalog) -> str:
    """The metrics for a model that cannot have a task head that the study asks for; "" if it can have all."""
    able = heads_of(config)
    if not able or set(use.heads) <= set(able):
        return ""
    kinds = [f"`{name}`" for name in catalog.tasks.names() if catalog.tasks[name].HEAD in able]
    metrics = listed(takes(within_reach(able, catalog.tasks), catalog.metrics))
    return f" (with tasks of kind {', '.join(kinds)} it can take {metrics})"


def _scored(use: ModelUse, folder: Path, config: Mapping[str, Any], catalog: Catalog) -> Iterator[Mistake]:
    """What is asked of a model by metrics that it cannot give."""
    for place, metric, settings, head in use.scoring:
        module = catalog.metrics[metric]
        told = traits(folder, config, head, use.gguf_file)
        for setting, reason, remedy in unsuited(module, module.Settings.model_validate_json(settings), told):
            yield Mistake(f"{place}.{setting}", f"{use.key}: {reason}", f"{remedy}, or other `models`")


def _compressed(use: ModelUse, config: Mapping[str, Any], catalog: Catalog) -> Iterator[Mistake]:
    """What is asked of a model that its architecture cannot lose."""
    for place, part, share in use.parts:
        refused = refusals(config, part)
        yield from (_mistake(f"{place}.models", f"{use.key}: {why}") for why in refused)
        most = removable_heads(config) if part == "heads" and not refused else None
        if most is not None and share is not None and share > most:
            reason = f"{use.key} can lose {most:.0%} of its heads, as each layer keeps one"
            yield Mistake(f"{place}.sparsity", reason, f"at most {most:.4g}, or other `models`")
    for place, method, settings in use.fitting:
        module = catalog.compression[method]
        assert isinstance(module, Fitting)
        for setting, reason, remedy in module.misfits(module.Settings.model_validate_json(settings), config):
            yield Mistake(f"{place}.{setting}", f"{use.key}: {reason}", remedy)


def _folders(use: ModelUse, root: Path) -> str:
    """Which folders have a model, the closest name first; else which folders there are."""
    named = {each.parent.relative_to(root).as_posix() for each in root.rglob("config.json")}
    named = named or {each.relative_to(root).as_posix() for each in root.rglob("*") if each.is_dir()}
    close = get_close_matches(use.folder, sorted(named), n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}there is {', '.join(sorted(named)[:SHOWN]) or 'none'}" + (
        " (. is the download itself)" * ("." in named)
    )


def _files(use: FilesUse, root: Path) -> Iterator[Mistake]:
    for name in use.files:
        path = root.parent / name if root.is_file() else root / name
        if not path.exists():
            there = (
                [root.name] if root.is_file() else sorted(each.relative_to(root).as_posix() for each in root.rglob("*"))
            )
            close = get_close_matches(name, there, n=1, cutoff=0.5)
            remedy = f"did you mean '{close[0]}'?" if close else f"it contains {', '.join(there[:SHOWN]) or 'nothing'}"
            yield Mistake(f"{use.key}.file", f"there is no file or folder '{name}' in the download", remedy)
            continue
        within = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        pointers = [
            each.relative_to(root.parent if root.is_file() else root).as_posix()
            for each in within
            if lfs.is_pointer(each)
        ]
        if pointers:
            yield _mistake(f"{use.key}.file", lfs.missing(pointers))


def _mistake(key: str, reason: str) -> Mistake:
    """From a reason that ends with a remedy after "; "."""
    what, _, remedy = reason.rpartition("; ")
    return Mistake(key, what or remedy, remedy)
