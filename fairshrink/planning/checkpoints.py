"""The checkpoints of a study: baselines, what is compressed of them, and controls."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fairshrink.contracts import BASELINE, Capability, CodeEntry
from fairshrink.planning.artifact import Artifact, entry_points, keyed
from fairshrink.planning.setting import setting_text
from fairshrink.planning.task import inputs_of, on_split, reference, untrained
from fairshrink.registry import CATALOG
from fairshrink.study.jobs import CompressJob, ControlRecipe, FinetuneJob, Identity, PretrainedModel
from fairshrink.study.study import CompressionEntry, ControlEntry, MetricEntry, Study, TaskEntry

Downloads = Mapping[str, Artifact]
MAKES_CONTROLS = CodeEntry("stages.controls", "make")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the grid: its identity in tables, and the artifact that is loaded to score it.

    ``baseline`` is the one that it is made from, or itself. A control that is not stored has no artifact: ``artifact``
    is its baseline's, ``control`` says how it is made of it, by which code (``entries``) and from what else
    (``inputs``).
    """

    artifact: Artifact
    baseline: Artifact
    identity: Identity
    model: PretrainedModel
    entry: ControlEntry | None = None
    control: ControlRecipe | None = None
    entries: Sequence[CodeEntry] = ()
    inputs: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies it in tables."""
        return self.control.key if self.control else self.artifact.key

    @property
    def name(self) -> str:
        """Its readable name, without the key."""
        return self.control.name if self.control else self.artifact.name

    def is_shown_by(self, metric: MetricEntry, provides: Collection[Capability]) -> bool:
        """Whether a metric of its task is to score it."""
        return self.entry is None or self.entry.shown_by(metric, provides)


def every_checkpoint(study: Study, downloads: Downloads) -> Iterator[Checkpoint]:
    """All checkpoints, each baseline before what is made of it."""
    for baseline in _baselines(study, downloads):
        pair = (baseline.identity.model, baseline.identity.task)
        yield baseline
        for compression in study.compressions:
            if pair in study.compressed(compression):
                yield _compression(study, compression, baseline, downloads)
        for control in study.controls:
            if pair in study.controlled(control):
                yield _control(study, control, baseline, downloads)


def _baselines(study: Study, downloads: Downloads) -> Iterator[Checkpoint]:
    for model_name, model in study.models.items():
        for task in (study.tasks[name] for name in model.tasks):
            for split in task.keys.splits if task.trained else [0]:
                yield _baseline(study, model_name, task, split, downloads)


def _baseline(study: Study, model_name: str, task: TaskEntry, split: int, downloads: Downloads) -> Checkpoint:
    model, trained, seed = study.models[model_name], task.trained, study.seed + split
    source, folder = downloads[model.download], f"{downloads[model.download].path}/{model.folder}"
    labels: tuple[str, ...] = ()
    names: Mapping[str, str] = {}
    if task.module.HEAD == "classification" and task.main is not None:
        labels, names = tuple(task.labels), task.main.names_by_label
    pretrained = PretrainedModel(folder, model.gguf_file, model.dtype, task.module.HEAD, labels, names, trained)
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


def _compression(study: Study, entry: CompressionEntry, baseline: Checkpoint, downloads: Downloads) -> Checkpoint:
    job = _job(study, entry, setting_text(entry, study.compressions), baseline, downloads)
    made_from = _inputs(study, entry, baseline, downloads)
    name, entries = _name(baseline, job.identity), _entries(study, entry, baseline)
    artifact = keyed("compress", name, entries, made_from, job, batch=baseline.artifact.batch)
    return Checkpoint(artifact, baseline.artifact, job.identity, baseline.model)


def _control(study: Study, entry: ControlEntry, baseline: Checkpoint, downloads: Downloads) -> Checkpoint:
    """A control, which is an artifact where it is stored; else its key is that of how it is made."""
    job = _job(study, entry, entry.setting or setting_text(entry, study.controls), baseline, downloads)
    made_from = _inputs(study, entry, baseline, downloads)
    name, entries = _name(baseline, job.identity), _entries(study, entry, baseline)
    if entry.stored:
        if entry.dose is not None:
            job = replace(job, dose=reference(study.tasks[job.identity.task], entry.dose, downloads))
            made_from |= {"dose": downloads[entry.dose.download]}
        artifact = keyed("compress", name, entries, made_from, job, batch=name, trains=True)
        return Checkpoint(artifact, baseline.artifact, job.identity, baseline.model, entry)
    made_from.pop("model", None)
    key = keyed("compress", name, entries, made_from, replace(job, model=None), runs=MAKES_CONTROLS).key
    recipe = ControlRecipe(key, name, entry.method, job.settings, job.seed, job.task, job.identity)
    made_from.pop("checkpoint")
    return Checkpoint(
        baseline.artifact, baseline.artifact, job.identity, baseline.model, entry, recipe, entries, made_from
    )


def _job(
    study: Study, entry: CompressionEntry | ControlEntry, setting: str, baseline: Checkpoint, downloads: Downloads
) -> CompressJob:
    before, settings = baseline.identity, entry.settings.model_dump(mode="json")
    needs_task = entry.module.NEEDS_TASK
    return CompressJob(
        checkpoint=baseline.artifact.path,
        baseline=baseline.artifact.path,
        model=baseline.model if needs_task else None,
        task=on_split(study.tasks[before.task], downloads, before.split, before.seed) if needs_task else None,
        method=entry.method,
        settings=settings,
        seed=before.seed,
        identity=replace(
            before,
            method=entry.method,
            method_family=CATALOG.compression.family(entry.method),
            setting=setting,
            sparsity=settings.get("sparsity"),
        ),
    )


def _inputs(
    study: Study, entry: CompressionEntry | ControlEntry, baseline: Checkpoint, downloads: Downloads
) -> dict[str, Artifact]:
    inputs = {"checkpoint": baseline.artifact}
    if entry.module.NEEDS_TASK:
        inputs |= {"model": downloads[study.models[baseline.identity.model].download]}
        inputs |= inputs_of(study.tasks[baseline.identity.task], downloads)
    return inputs


def _entries(study: Study, entry: CompressionEntry | ControlEntry, baseline: Checkpoint) -> list[CodeEntry]:
    """What a method's job looks up by name; what is not stored does not train."""
    entries: list[CodeEntry] = entry_points(CATALOG.compression, entry.method, "compress", "Settings")
    if entry.module.NEEDS_TASK:
        kind = study.tasks[baseline.identity.task].kind
        if isinstance(entry, ControlEntry) and not entry.stored:
            return [*entries, *entry_points(CATALOG.tasks, kind, "Settings")]
        entries += entry_points(CATALOG.tasks, kind, "score", "Settings", optional=("train", "loss"))
    return entries


def _name(baseline: Checkpoint, identity: Identity) -> str:
    setting = identity.setting.replace("=", "")
    return "-".join([baseline.artifact.name, identity.method, *([setting] if setting else [])])
