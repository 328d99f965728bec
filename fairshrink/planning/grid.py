"""The grid that a study expands to: every artifact with its key, its path and the plain specification of its job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fairshrink import keys, registry
from fairshrink.keys import canonical
from fairshrink.planning.definitions import Entry as CodeEntry
from fairshrink.planning.definitions import code_of
from fairshrink.reporting import outputs
from fairshrink.store.artifacts import MARKER
from fairshrink.study.reader import Entry, Study, applies_to
from fairshrink.study.schema import Files, Table

FOLDERS = {
    "download": "data",
    "finetune": "results/baselines",
    "compress": "results/compressed",
    "evaluate": "results/scores",
    "aggregate": "results/published",
}
STAGES = tuple(FOLDERS)
COST = {"encoder": 1, "causal": 4}
"""Rough time of scoring, only to start long chains first; part of no key."""


@dataclass(frozen=True)
class Artifact:
    """One keyed output; ``inputs`` are the paths of the artifacts that it is made from."""

    stage: str
    name: str
    key: str
    path: str
    spec: dict[str, Any] = field(hash=False, compare=False)
    inputs: tuple[str, ...] = ()
    parts: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    batch: str = ""
    cost: int = 1

    @property
    def marker(self) -> str:
        """The file whose existence makes this artifact valid."""
        return f"{self.path}/{MARKER}"

    @property
    def job(self) -> dict[str, Any]:
        """What the stage's script is given: plain values only."""
        return {
            "stage": self.stage,
            "name": self.name,
            "key": self.key,
            "path": self.path,
            "parts": self.parts,
            "spec": self.spec,
        }


def expand(study: Study) -> dict[str, Artifact]:
    """All artifacts of a study by path, upstream before downstream; the last one is the final tables."""
    downloads = {name: _download(entry) for name, entry in study.downloads.items()}
    grid: dict[str, Artifact] = {each.path: each for each in downloads.values()}
    checkpoints: list[Artifact] = []
    for baseline in _baselines(study, downloads):
        compressed = list(_compressed(study, baseline, downloads))
        checkpoints += [baseline, *compressed]
        grid |= {each.path: each for each in (baseline, *compressed)}
    scores = [score for checkpoint in checkpoints for score in _scores(study, checkpoint, downloads)]
    grid |= {each.path: each for each in scores}
    tables = _tables(study, checkpoints, scores)
    used = {path for artifact in grid.values() for path in artifact.inputs}
    kept = {path: each for path, each in grid.items() if each.stage != "download" or path in used}
    return kept | {tables.path: tables}


def _artifact(
    stage: str,
    name: str,
    entries: list[CodeEntry],
    params: dict[str, Any],
    inputs: list[Artifact],
    spec: dict[str, Any],
    *,
    folder: str | None = None,
    batch: str = "",
    cost: int = 1,
) -> Artifact:
    """Key an artifact by what makes it; ``entries`` are the definitions that its job looks up by name."""
    parts = {
        "stage": stage,
        "code": code_of((*entries, CodeEntry(f"stages.{stage}", "run"))),
        "params": params,
        "inputs": [each.key for each in inputs],
    }
    key = keys.key(**parts)
    path = f"{folder or FOLDERS[stage]}/{name}-{key}"
    paths = tuple(dict.fromkeys(each.path for each in inputs))
    return Artifact(stage, name, key, path, spec, paths, parts, batch, cost)


def _entries(kind: str, name: str, parts: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> list[CodeEntry]:
    """Definitions that are looked up in a module that is found by its name."""
    module = registry.module_name(kind, name)
    return [CodeEntry(module, each) for each in parts] + [CodeEntry(module, each, False) for each in optional]


def _download(entry: Entry) -> Artifact:
    module = registry.load("sources", entry.module)
    settings = entry.settings.model_dump(mode="json")
    return _artifact(
        "download",
        entry.name,
        [
            *_entries("sources", entry.module, ("fetch", "Settings")),
            *(CodeEntry(*each) for each in getattr(module, "CODE", lambda _: [])(entry.settings)),
        ],
        {"source": entry.module, "pin": module.pin(entry.settings)},
        [],
        {"source": entry.module, "settings": settings},
    )


def _baselines(study: Study, downloads: dict[str, Artifact]) -> Iterator[Artifact]:
    for model_name, model in study.models.items():
        for task_name in model.tasks:
            task = study.tasks[task_name]
            trained = registry.load("tasks", task.module).TRAINED
            for split in task.common.splits if trained else [0]:
                source = downloads[model.download]
                inputs = [source, *_inputs_of(task, downloads)] if trained else [source]
                seed = study.seed + split
                model_spec = {
                    "path": f"{source.path}/{model.folder}",
                    "gguf_file": model.gguf_file,
                    "dtype": model.dtype,
                    "head": registry.load("tasks", task.module).HEAD,
                    "labels": (task.common.train.labels or []) if task.common.train else [],
                }
                task_spec = _task_spec(task, downloads, split, seed)
                described = {
                    "model": model.model_dump(mode="json", include={"folder", "gguf_file", "dtype"}),
                    "task": _task_params(task) if trained else {"kind": task.module},
                    "split": split,
                    "seed": seed,
                }
                entries = _entries("tasks", task.module, ("HEAD", "TRAINED", "Settings"))
                name = f"{model_name}-{task_name}" + (f"-s{split}" if trained else "")
                identity = {
                    "model": model_name,
                    "family": model.family,
                    "task": task_name,
                    "split": split,
                    "seed": seed,
                    "method": "none",
                    "method_family": "baseline",
                    "setting": "",
                    "sparsity": 0.0,
                }
                yield _artifact(
                    "finetune",
                    name,
                    entries + (_entries("tasks", task.module, ("train",)) if trained else []),
                    described,
                    inputs,
                    {"model": model_spec, "task": task_spec, "identity": identity},
                    batch=name,
                )


def _compressed(study: Study, baseline: Artifact, downloads: dict[str, Artifact]) -> Iterator[Artifact]:
    identity = baseline.spec["identity"]
    for entry in study.compressions:
        if (identity["model"], identity["task"]) not in set(applies_to(study, entry)):
            continue
        module = registry.load("compression", entry.module)
        task = study.tasks[identity["task"]]
        settings = entry.settings.model_dump(mode="json")
        setting = ",".join(f"{name}={_short(settings[name])}" for name in _telling(entry, study.compressions))
        params = {"method": entry.module, "settings": settings, "seed": identity["seed"]}
        inputs = [baseline]
        entries = _entries("compression", entry.module, ("compress", "Settings"))
        if module.NEEDS_TASK:
            params |= {"task": _task_params(task), "split": identity["split"]}
            inputs += [downloads[study.models[identity["model"]].download], *_inputs_of(task, downloads)]
            entries += _entries("tasks", task.module, ("score", "Settings"), optional=("train", "loss"))
        yield _artifact(
            "compress",
            "-".join([baseline.name, entry.module, *([setting.replace("=", "")] if setting else [])]),
            entries,
            params,
            inputs,
            {
                "baseline": baseline.path,
                "model": baseline.spec["model"],
                "task": baseline.spec["task"] if module.NEEDS_TASK else None,
                "method": entry.module,
                "settings": settings,
                "seed": identity["seed"],
                "identity": identity
                | {
                    "method": entry.module,
                    "method_family": registry.family("compression", entry.module),
                    "setting": setting,
                    "sparsity": settings.get("sparsity"),
                },
            },
            batch=baseline.batch,
        )


def _scores(study: Study, checkpoint: Artifact, downloads: dict[str, Artifact]) -> Iterator[Artifact]:
    identity = checkpoint.spec["identity"]
    for entry in study.metrics:
        if (identity["model"], identity["task"]) not in set(applies_to(study, entry)):
            continue
        module = registry.load("metrics", entry.module)
        task = study.tasks[identity["task"]]
        settings = entry.settings.model_dump(mode="json")
        needs_task = getattr(module, "NEEDS_TASK", False)
        params = {
            "metric": entry.module,
            "settings": settings,
            "data": {role: _file_list(files) for role, files in sorted(entry.common.data.items())},
        }
        sources = [downloads[files.download] for _, files in sorted(entry.common.data.items())]
        entries = _entries("metrics", entry.module, ("score", "Settings"))
        if needs_task:
            params |= {"task": _task_params(task), "split": identity["split"], "seed": identity["seed"]}
            sources += _inputs_of(task, downloads)
            entries += _entries("tasks", task.module, ("score", "Settings"))
        yield _artifact(
            "evaluate",
            entry.name,
            entries,
            params,
            [checkpoint, *sources],
            {
                "checkpoint": checkpoint.path,
                "metric": entry.module,
                "settings": settings,
                "data": {
                    role: [f"{downloads[files.download].path}/{name}" for name in _file_list(files)]
                    for role, files in sorted(entry.common.data.items())
                },
                "task": _task_spec(task, downloads, identity["split"], identity["seed"]) if needs_task else None,
            },
            folder=f"{FOLDERS['evaluate']}/{checkpoint.path.rsplit('/', 1)[1]}",
            batch=checkpoint.batch,
            cost=COST[identity["family"]],
        )


def _tables(study: Study, checkpoints: list[Artifact], scores: list[Artifact]) -> Artifact:
    by_path = {each.path: each for each in checkpoints}
    records = {score.inputs[0]: score.marker for score in scores}
    spec = {
        "study": study.name,
        "level": study.statistics.level,
        "resamples": study.statistics.resamples,
        "seed": study.seed,
        "checkpoints": [
            {"key": each.key, "name": each.name, "path": each.path, "ledger": records[each.path]}
            | {"baseline_key": by_path.get(each.inputs[0], each).key if each.stage == "compress" else each.key}
            | each.spec["identity"]
            for each in checkpoints
            if each.path in records
        ],
        "scores": [
            {
                "path": f"{each.path}/items.parquet",
                "provenance": each.marker,
                "key": each.key,
                "checkpoint": by_path[each.inputs[0]].key,
                "entry": each.name,
                "metric": each.spec["metric"],
                "settings": each.spec["settings"],
                "dataset": ", ".join(
                    sorted({path.split("/")[1] for paths in each.spec["data"].values() for path in paths})
                )
                or _own_data(each),
            }
            for each in scores
        ],
    }
    used = sorted({each.module for each in study.metrics})
    entries = [entry for name in used for entry in _entries("metrics", name, _SUMMARY)]
    described = {name: value for name, value in spec.items() if name not in ("checkpoints", "scores")}
    described["names"] = keys.digest([_names(checkpoints), sorted({canonical(_datasets(each)) for each in scores})])
    artifact = _artifact("aggregate", study.name, entries, described, scores, spec)
    spec |= {"out": f"{artifact.path}/tables", "figures": f"{artifact.path}/figures"}
    spec["files"] = outputs.outputs(spec)
    return artifact


def _names(checkpoints: list[Artifact]) -> list[str]:
    """What tables call each checkpoint: its name and identity, the method's family among it, are not in its own key."""
    return sorted(canonical([each.name, each.spec["identity"]]) for each in checkpoints)


def _datasets(score: Artifact) -> list[str]:
    """A score table's name and the study's names of the data that it was made on."""
    paths = [path for paths in score.spec["data"].values() for path in paths]
    return [score.name, *sorted({path.split("/")[1].rsplit("-", 1)[0] for path in paths})]


_SUMMARY = ("summarize", "HEADLINE", "KIND", "Settings")


def _own_data(score: Artifact) -> str:
    return score.spec["task"]["name"] if score.spec["task"] else "stimuli"


def _task_params(task: Entry) -> dict[str, Any]:
    """What of a task can change a result: its kind, settings and how its tables are read (their keys are inputs)."""
    common = task.common
    return {
        "kind": task.module,
        "settings": task.settings.model_dump(mode="json"),
        "train": common.train.model_dump(mode="json", exclude={"download"}) if common.train else None,
        "test": {n: t.model_dump(mode="json", exclude={"download"}) for n, t in sorted((common.test or {}).items())},
    }


def _task_spec(task: Entry, downloads: dict[str, Artifact], split: int, seed: int) -> dict[str, Any]:
    def ref(table: Table) -> dict[str, Any]:
        return table.model_dump(mode="json", exclude={"download"}) | {"path": downloads[table.download].path}

    tables: dict[str, Any] = {"train": ref(task.common.train)} if task.common.train else {}
    if task.common.test:
        tables["test"] = {name: ref(table) for name, table in sorted(task.common.test.items())}
    return {
        "name": task.name,
        "kind": task.module,
        "settings": task.settings.model_dump(mode="json"),
        "tables": tables,
        "split": split,
        "seed": seed,
    }


def _inputs_of(task: Entry, downloads: dict[str, Artifact]) -> list[Artifact]:
    tables = ([task.common.train] if task.common.train else []) + [
        table for _, table in sorted((task.common.test or {}).items())
    ]
    return [downloads[table.download] for table in tables]


def _file_list(files: Files) -> list[str]:
    return [files.file] if isinstance(files.file, str) else list(files.file)


def _telling(entry: Entry, entries: list[Entry]) -> list[str]:
    """Settings that tell an entry from others of its method, or that its method requires; else all that are stated."""
    fields = type(entry.settings).model_fields
    stated = [name for name in fields if name in entry.explicit and getattr(entry.settings, name) is not None]
    values = {
        name: {canonical(_dumped(each, name)) for each in entries if each.module == entry.module} for name in stated
    }
    telling = [name for name in stated if fields[name].is_required() or len(values[name]) > 1]
    return telling or stated


def _dumped(entry: Entry, name: str) -> Any:
    return entry.settings.model_dump(mode="json")[name]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
