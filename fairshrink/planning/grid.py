"""The grid that a study expands to: every artifact with its key, its path and the input of its job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from fairshrink.contracts import BASELINE, CodeEntry
from fairshrink.planning.artifact import Artifact, entry_points, keyed
from fairshrink.planning.setting import setting_text
from fairshrink.planning.task import inputs_of, on_split, untrained
from fairshrink.registry import CATALOG
from fairshrink.reporting import outputs
from fairshrink.store.layout import ITEMS
from fairshrink.study.jobs import (
    AggregateJob,
    CheckpointEntry,
    CompressJob,
    DownloadJob,
    EvaluateJob,
    FinetuneJob,
    Identity,
    PretrainedModel,
    ScoreEntry,
)
from fairshrink.study.study import CompressionEntry, Download, MetricEntry, Study, TaskEntry

COST = {"encoder": 1, "causal": 4}
"""Relative time of scoring, used only to start long chains first; not part of any key."""
SUMMARY = ("summarize", "HEADLINE", "KIND", "Settings")
"""The definitions of a metric that the tables use."""
Downloads = Mapping[str, Artifact]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the grid: its artifact, its identity in tables, the baseline it is made from (or itself)."""

    artifact: Artifact
    baseline: Artifact
    identity: Identity
    model: PretrainedModel


@dataclass(frozen=True, eq=False)
class Grid(Mapping[str, Artifact]):
    """All artifacts of a study by path, upstream before downstream; ``tables`` is the one with the final tables."""

    artifacts: Mapping[str, Artifact]
    tables: Artifact

    def __getitem__(self, path: str) -> Artifact:
        return self.artifacts[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.artifacts)

    def __len__(self) -> int:
        return len(self.artifacts)


def expand(study: Study) -> Grid:
    """The grid of a study; downloads that nothing uses are left out."""
    downloads = {name: _download(entry) for name, entry in study.downloads.items()}
    checkpoints: list[Checkpoint] = []
    for baseline in _baselines(study, downloads):
        checkpoints += [baseline, *_compressed(study, baseline, downloads)]
    scores = [(each, score) for each in checkpoints for score in _scores(study, each, downloads)]
    tables = _tables(study, checkpoints, scores)
    made = [*(each.artifact for each in checkpoints), *(score for _, score in scores)]
    used = {path for artifact in made for path in artifact.inputs.values()}
    needed = [each for each in downloads.values() if each.path in used]
    return Grid({each.path: each for each in (*needed, *made, tables)}, tables)


def _download(entry: Download) -> Artifact:
    return keyed(
        "download",
        entry.name,
        [*entry_points(CATALOG.sources, entry.source, "fetch", "Settings"), *entry.module.code(entry.settings)],
        {},
        DownloadJob(entry.source, entry.settings.model_dump(mode="json")),
        params={"source": entry.source, "pin": entry.module.pin(entry.settings)},
    )


def _baselines(study: Study, downloads: Downloads) -> Iterator[Checkpoint]:
    for model_name, model in study.models.items():
        for task in (study.tasks[name] for name in model.tasks):
            for split in task.keys.splits if task.module.TRAINED else [0]:
                yield _baseline(study, model_name, task, split, downloads)


def _baseline(study: Study, model_name: str, task: TaskEntry, split: int, downloads: Downloads) -> Checkpoint:
    model, trained, seed = study.models[model_name], task.module.TRAINED, study.seed + split
    source, train = downloads[model.download], task.keys.train
    labels = tuple(train.label_names or ()) if train is not None and task.module.HEAD == "classification" else ()
    folder = f"{source.path}/{model.folder}"
    pretrained = PretrainedModel(folder, model.gguf_file, model.dtype, task.module.HEAD, labels)
    identity = Identity(
        model_name, model.family, task.name, split, seed, BASELINE, method_family="baseline", setting="", sparsity=0.0
    )
    name = f"{model_name}-{task.name}" + (f"-s{split}" if trained else "")
    artifact = keyed(
        "finetune",
        name,
        entry_points(CATALOG.tasks, task.kind, "HEAD", "TRAINED", "Settings", *(["train"] if trained else [])),
        {"model": source} | (inputs_of(task, downloads) if trained else {}),
        FinetuneJob(pretrained, on_split(task, downloads, split, seed) if trained else untrained(task, seed), identity),
        batch=name,
    )
    return Checkpoint(artifact, artifact, identity, pretrained)


def _compressed(study: Study, baseline: Checkpoint, downloads: Downloads) -> Iterator[Checkpoint]:
    pair = (baseline.identity.model, baseline.identity.task)
    for entry in study.compressions:
        if pair in study.compressed(entry):
            yield _compression(study, entry, baseline, downloads)


def _compression(study: Study, entry: CompressionEntry, baseline: Checkpoint, downloads: Downloads) -> Checkpoint:
    before, task = baseline.identity, study.tasks[baseline.identity.task]
    settings = entry.settings.model_dump(mode="json")
    setting = setting_text(entry, study.compressions)
    inputs = {"checkpoint": baseline.artifact}
    entries: list[CodeEntry] = entry_points(CATALOG.compression, entry.method, "compress", "Settings")
    if entry.module.NEEDS_TASK:
        inputs |= {"model": downloads[study.models[before.model].download]} | inputs_of(task, downloads)
        entries += entry_points(CATALOG.tasks, task.kind, "score", "Settings", optional=("train", "loss"))
    identity = replace(
        before,
        method=entry.method,
        method_family=CATALOG.compression.family(entry.method),
        setting=setting,
        sparsity=settings.get("sparsity"),
    )
    job = CompressJob(
        checkpoint=baseline.artifact.path,
        baseline=baseline.artifact.path,
        model=baseline.model if entry.module.NEEDS_TASK else None,
        task=on_split(task, downloads, before.split, before.seed) if entry.module.NEEDS_TASK else None,
        method=entry.method,
        settings=settings,
        seed=before.seed,
        identity=identity,
    )
    name = "-".join([baseline.artifact.name, entry.method, *([setting.replace("=", "")] if setting else [])])
    artifact = keyed("compress", name, entries, inputs, job, batch=baseline.artifact.batch)
    return Checkpoint(artifact, baseline.artifact, identity, baseline.model)


def _scores(study: Study, checkpoint: Checkpoint, downloads: Downloads) -> Iterator[Artifact]:
    pair = (checkpoint.identity.model, checkpoint.identity.task)
    for entry in study.metrics:
        if pair in study.scored(entry):
            yield _score(study, entry, checkpoint, downloads)


def _score(study: Study, entry: MetricEntry, checkpoint: Checkpoint, downloads: Downloads) -> Artifact:
    identity, task = checkpoint.identity, study.tasks[checkpoint.identity.task]
    settings = entry.settings.model_dump(mode="json")
    data = dict(sorted(entry.keys.data.items()))
    inputs = {"checkpoint": checkpoint.artifact}
    inputs |= {f"data.{role}": downloads[files.download] for role, files in data.items()}
    entries: list[CodeEntry] = entry_points(CATALOG.metrics, entry.metric, "score", "Settings")
    if entry.module.NEEDS_BASELINE:
        inputs |= {"baseline": checkpoint.baseline}
    if entry.module.NEEDS_TASK:
        inputs |= inputs_of(task, downloads)
        entries += entry_points(CATALOG.tasks, task.kind, "score", "Settings")
    job = EvaluateJob(
        checkpoint=checkpoint.artifact.path,
        baseline=checkpoint.baseline.path if entry.module.NEEDS_BASELINE else None,
        metric=entry.metric,
        settings=settings,
        precision=entry.keys.precision,
        data={role: tuple(f"{downloads[f.download].path}/{name}" for name in f.files) for role, f in data.items()},
        task=on_split(task, downloads, identity.split, identity.seed) if entry.module.NEEDS_TASK else None,
    )
    return keyed(
        "evaluate",
        entry.name,
        entries,
        inputs,
        job,
        below=PurePath(checkpoint.artifact.path).name,
        batch=checkpoint.artifact.batch,
        cost=COST[identity.family],
    )


def _tables(study: Study, checkpoints: Sequence[Checkpoint], scores: Sequence[tuple[Checkpoint, Artifact]]) -> Artifact:
    records = {checkpoint.artifact.path: score.marker for checkpoint, score in scores}
    listed = tuple(
        CheckpointEntry(
            key=each.artifact.key,
            name=each.artifact.name,
            path=each.artifact.path,
            record=records[each.artifact.path],
            baseline_key=each.baseline.key,
            identity=each.identity,
        )
        for each in checkpoints
        if each.artifact.path in records
    )
    job = AggregateJob(
        study=study.name,
        level=study.statistics.level,
        resamples=study.statistics.resamples,
        seed=study.seed,
        checkpoints=listed,
        scores=tuple(_score_entry(checkpoint, score) for checkpoint, score in scores),
    )
    used = sorted({each.metric for each in study.metrics})
    return keyed(
        "aggregate",
        study.name,
        [entry for name in used for entry in entry_points(CATALOG.metrics, name, *SUMMARY)],
        {score.path.split("/", 2)[2]: score for _, score in scores},
        replace(job, files=tuple(outputs.outputs(listed, job.scores))),
    )


def _score_entry(checkpoint: Checkpoint, score: Artifact) -> ScoreEntry:
    job = score.job
    assert isinstance(job, EvaluateJob)
    return ScoreEntry(
        path=f"{score.path}/{ITEMS}",
        record=score.marker,
        key=score.key,
        checkpoint=checkpoint.artifact.key,
        entry=score.name,
        metric=job.metric,
        settings=job.settings,
        dataset=_dataset(job),
    )


def _dataset(job: EvaluateJob) -> str:
    """The downloads that a metric reads, else its task, else the stimuli that it contains."""
    folders = sorted({PurePath(path).parts[1] for paths in job.data.values() for path in paths})
    return ", ".join(folders) or (job.task.name if job.task else "stimuli")
