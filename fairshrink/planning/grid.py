"""The grid that a study expands to: every artifact with its key, its path and the input of its job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Literal, get_origin

from fairshrink.planning import definitions, told_apart
from fairshrink.planning.artifact import Artifact, entry_points, keyed
from fairshrink.planning.checkpoints import Checkpoint, Downloads, every_checkpoint
from fairshrink.planning.task import inputs_of, on_split
from fairshrink.registry import CATALOG
from fairshrink.reporting import outputs
from fairshrink.store.layout import ITEMS
from fairshrink.study.jobs import (
    AggregateJob,
    CheckpointEntry,
    DownloadJob,
    EvaluateJob,
    ScoreEntry,
)
from fairshrink.study.study import Download, MetricEntry, Study
from fairshrink.study.uses import Use, uses

COST = {"encoder": 1, "causal": 4}
"""Relative time of scoring, used only to start long chains first; not part of any key."""
SUMMARY = ("summarize", "HEADLINE", "KIND", "CLUSTERS", "Settings")
"""The definitions of a metric that the tables use."""
BIAS_SUMMARY = ("signal", "MARGIN", "OWN_SKILL")
"""The same, of metrics of bias."""


@dataclass(frozen=True, eq=False)
class Grid(Mapping[str, Artifact]):
    """All artifacts of a study by path, upstream before downstream; ``tables`` is the one with the final tables.

    ``uses``: what the study expects to be in a download, by its path. ``local``: of those that are copied, from where.
    """

    artifacts: Mapping[str, Artifact]
    tables: Artifact
    uses: Mapping[str, Sequence[Use]] = field(default_factory=dict)
    local: Mapping[str, Path] = field(default_factory=dict)

    def __getitem__(self, path: str) -> Artifact:
        return self.artifacts[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.artifacts)

    def __len__(self) -> int:
        return len(self.artifacts)


def expand(study: Study) -> Grid:
    """The grid of a study; downloads that nothing uses are left out."""
    downloads = {name: _download(entry) for name, entry in study.downloads.items()}
    checkpoints = list(every_checkpoint(study, downloads))
    told_apart.check(study.file, ((each.key, each.identity) for each in checkpoints))
    scores = [(each, score) for each in checkpoints for score in _scores(study, each, downloads)]
    tables = _tables(study, checkpoints, scores)
    definitions.keep()
    stored = [each for checkpoint in checkpoints for each in _stored(checkpoint)]
    made = [*stored, *(score for _, score in scores)]
    used = {path for artifact in made for path in artifact.inputs.values()}
    needed = [each for each in downloads.values() if each.path in used]
    expected: dict[str, list[Use]] = {}
    for name, use in uses(study):
        expected.setdefault(downloads[name].path, []).append(use)
    local = {downloads[name].path: each.settings.local for name, each in study.downloads.items() if each.settings.local}
    return Grid({each.path: each for each in (*needed, *made, tables)}, tables, expected, local)


def _stored(checkpoint: Checkpoint) -> Iterator[Artifact]:
    """The artifacts of a checkpoint: the steps of a chain before its end."""
    yield from checkpoint.steps
    if not checkpoint.control:
        yield checkpoint.artifact


def _download(entry: Download) -> Artifact:
    return keyed(
        "download",
        entry.name,
        [*entry_points(CATALOG.sources, entry.source, "fetch", "Settings"), *entry.module.code(entry.settings)],
        {},
        DownloadJob(entry.source, entry.settings.model_dump(mode="json")),
        params={"source": entry.source, "pin": entry.module.pin(entry.settings)},
    )


def _scores(study: Study, checkpoint: Checkpoint, downloads: Downloads) -> Iterator[Artifact]:
    pair = (checkpoint.identity.model, checkpoint.identity.task)
    for entry in study.metrics:
        if pair in study.scored(entry) and checkpoint.is_shown_by(entry, study.tasks[pair[1]].provides):
            yield _score(study, entry, checkpoint, downloads)


def _score(study: Study, entry: MetricEntry, checkpoint: Checkpoint, downloads: Downloads) -> Artifact:
    identity, task = checkpoint.identity, study.tasks[checkpoint.identity.task]
    settings = entry.settings.model_dump(mode="json")
    data = dict(sorted(entry.keys.data.items()))
    inputs = {"checkpoint": checkpoint.artifact}
    inputs |= {f"data.{role}": downloads[files.download] for role, files in data.items()}
    inputs |= checkpoint.inputs
    entries = [*entry_points(CATALOG.metrics, entry.metric, "score", "Settings"), *checkpoint.entries]
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
        control=checkpoint.control,
        polarity=task.keys.polarity or {} if "sentiment" in entry.module.NEEDS else {},
    )
    return keyed(
        "evaluate",
        entry.name,
        entries,
        inputs,
        job,
        below=f"{checkpoint.name}-{checkpoint.key}",
        batch=checkpoint.artifact.batch,
        cost=COST[identity.family],
    )


def _tables(study: Study, checkpoints: Sequence[Checkpoint], scores: Sequence[tuple[Checkpoint, Artifact]]) -> Artifact:
    records: dict[str, str] = {}
    for checkpoint, score in scores:  # any will do; the same one in whatever order metrics are listed
        records[checkpoint.key] = min(score.marker, records.get(checkpoint.key, score.marker))
    listed = tuple(
        CheckpointEntry(
            key=each.key,
            name=each.name,
            path="" if each.control else each.artifact.path,
            record=records[each.key],
            baseline_key=each.baseline.key,
            identity=each.identity,
        )
        for each in checkpoints
        if each.key in records
    )
    job = AggregateJob(
        study=study.name,
        level=study.statistics.level,
        margins={each.name: each.keys.margin for each in study.metrics if each.keys.margin is not None},
        validity=tuple(study.validity),
        checkpoints=listed,
        scores=tuple(_score_entry(checkpoint, score) for checkpoint, score in scores),
    )
    used = sorted({each.metric for each in study.metrics})
    return keyed(
        "aggregate",
        study.name,
        [each for name in used for each in entry_points(CATALOG.metrics, name, *SUMMARY, optional=BIAS_SUMMARY)],
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
        checkpoint=checkpoint.key,
        entry=score.name,
        metric=job.metric,
        settings=job.settings,
        dataset=_dataset(job),
    )


def _dataset(job: EvaluateJob) -> str:
    """The downloads that a metric reads, else its task, else the stimuli that it contains; and which variant it is."""
    folders = sorted({PurePath(path).parts[1] for paths in job.data.values() for path in paths})
    data = ", ".join(folders) or (job.task.name if job.task else "stimuli")
    fields = CATALOG.metrics[job.metric].Settings.model_fields
    variants = [
        f"{name}: {value}"
        for name, value in job.settings.items()
        if get_origin(fields[name].annotation) is Literal and value != fields[name].default
    ]
    return "; ".join([data, *variants])
