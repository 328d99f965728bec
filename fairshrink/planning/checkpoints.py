"""The checkpoints of a study: baselines, what is compressed of them, and controls."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fairshrink.contracts import BASELINE, Capability, CodeEntry
from fairshrink.planning.artifact import Artifact, entry_points, keyed
from fairshrink.planning.setting import chain_identity, setting_text, trains_long
from fairshrink.planning.task import inputs_of, on_split, reference, untrained
from fairshrink.registry import CATALOG
from fairshrink.study.brought import brought
from fairshrink.study.jobs import CompressJob, ControlRecipe, FinetuneJob, Identity, PretrainedModel
from fairshrink.study.study import ChainEntry, CompressionEntry, ControlEntry, MetricEntry, Study, TaskEntry

Downloads = Mapping[str, Artifact]
LONGEST_SETTING = 60
"""Characters in a folder's name, which the file system limits; the key tells apart what is cut off."""
MAKES_CONTROLS = CodeEntry("stages.controls", "make")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the grid: its identity in tables, and the artifact that is loaded to score it.

    ``baseline`` is the one that it is made from, or itself; ``steps`` are the checkpoints in between, of a chain. A
    control that is not stored has no artifact: ``artifact`` is its baseline's, ``control`` says how it is made of it,
    by which code (``entries``) and from what else (``inputs``).
    """

    artifact: Artifact
    baseline: Artifact
    identity: Identity
    model: PretrainedModel
    entry: ControlEntry | None = None
    control: ControlRecipe | None = None
    entries: Sequence[CodeEntry] = ()
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    steps: Sequence[Artifact] = ()

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
        made: dict[str, Artifact] = {}
        for compression in study.compressions:
            if pair in study.compressed(compression):
                single = _compression(study, compression, baseline, downloads)
                made[single.key] = single.artifact
                yield single
        # Shorter ones first, so that what is a result of its own has its own name also as a step of another.
        for chain in sorted(study.chains, key=lambda each: len(each.steps)):
            if pair in study.compressed(chain):
                yield _chain(study, chain, baseline, downloads, made)
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
    identity = _identity(baseline, entry, setting_text(entry, study.compressions))
    return _step(study, entry, identity, baseline, baseline.artifact, downloads)


def _chain(
    study: Study, chain: ChainEntry, baseline: Checkpoint, downloads: Downloads, made: dict[str, Artifact]
) -> Checkpoint:
    """The end of a chain; each step is an artifact, found in ``made`` by its key or added to it.

    A step that nobody asked for by itself is kept like any other: it is what the next chain begins with, and it is
    only made again when something that is missing needs it.
    """
    before, steps = baseline.artifact, list[Artifact]()
    for number, entry in enumerate(chain.steps, start=1):
        identity = chain_identity(
            baseline.identity, chain if number == len(chain.steps) else chain.until(number), study
        )
        each = _step(study, entry, identity, baseline, before, downloads)
        before = made.setdefault(each.key, each.artifact)
        steps.append(before)
    return replace(each, artifact=before, steps=steps[:-1])


def _step(
    study: Study,
    entry: CompressionEntry,
    identity: Identity,
    baseline: Checkpoint,
    before: Artifact,
    downloads: Downloads,
) -> Checkpoint:
    """What a method makes of the checkpoint ``before``, which is the baseline or made of it."""
    job = replace(_job(study, entry, identity, baseline, downloads), checkpoint=before.path)
    made_from = _inputs(study, entry, baseline, downloads) | {"checkpoint": before}
    if before != baseline.artifact:
        made_from |= {"baseline": baseline.artifact}
    name, entries = _name(baseline, identity), _entries(study, entry, baseline)
    trains = trains_long(entry.module) or (brought(entry.module, entry.settings) is not None and job.task is not None)
    batch = name if trains else baseline.artifact.batch
    artifact = keyed("compress", name, entries, made_from, job, batch=batch, trains=trains)
    return Checkpoint(artifact, baseline.artifact, identity, baseline.model)


def _control(study: Study, entry: ControlEntry, baseline: Checkpoint, downloads: Downloads) -> Checkpoint:
    """A control, which is an artifact where it is stored; else its key is that of how it is made."""
    identity = _identity(baseline, entry, entry.setting or setting_text(entry, study.controls))
    job = _job(study, entry, identity, baseline, downloads)
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


def _identity(baseline: Checkpoint, entry: CompressionEntry | ControlEntry, setting: str) -> Identity:
    return replace(
        baseline.identity,
        method=entry.method,
        method_family=CATALOG.compression.family(entry.method),
        setting=setting,
        sparsity=entry.settings.model_dump().get("sparsity"),
    )


def _job(
    study: Study, entry: CompressionEntry | ControlEntry, identity: Identity, baseline: Checkpoint, downloads: Downloads
) -> CompressJob:
    before, settings = baseline.identity, entry.settings.model_dump(mode="json")
    needs_task, model, other = entry.module.NEEDS_TASK, baseline.model, brought(entry.module, entry.settings)
    if other is not None:
        path = downloads[other.download].path
        needs_task = model.trained and other.finetune
        model = replace(model, path=f"{path}/{other.folder}", gguf_file=other.file, trained=needs_task)
        settings["download"] = path
    return CompressJob(
        checkpoint=baseline.artifact.path,
        baseline=baseline.artifact.path,
        model=model if needs_task or other is not None else None,
        task=on_split(study.tasks[before.task], downloads, before.split, before.seed) if needs_task else None,
        method=entry.method,
        settings=settings,
        seed=before.seed,
        identity=identity,
    )


def _inputs(
    study: Study, entry: CompressionEntry | ControlEntry, baseline: Checkpoint, downloads: Downloads
) -> dict[str, Artifact]:
    inputs, other = {"checkpoint": baseline.artifact}, brought(entry.module, entry.settings)
    if other is not None:
        inputs |= {"brought": downloads[other.download]}
        if baseline.model.trained and other.finetune:
            inputs |= inputs_of(study.tasks[baseline.identity.task], downloads)
    if entry.module.NEEDS_TASK:
        inputs |= {"model": downloads[study.models[baseline.identity.model].download]}
        inputs |= inputs_of(study.tasks[baseline.identity.task], downloads)
    return inputs


def _entries(study: Study, entry: CompressionEntry | ControlEntry, baseline: Checkpoint) -> list[CodeEntry]:
    """What a method's job looks up by name; what is not stored does not train."""
    entries: list[CodeEntry] = entry_points(CATALOG.compression, entry.method, "compress", "Settings")
    kind, other = study.tasks[baseline.identity.task].kind, brought(entry.module, entry.settings)
    if other is not None and other.finetune and baseline.model.trained:
        entries += entry_points(CATALOG.tasks, kind, "train", "Settings")
    if entry.module.NEEDS_TASK:
        if isinstance(entry, ControlEntry) and not entry.stored:
            return [*entries, *entry_points(CATALOG.tasks, kind, "Settings")]
        entries += entry_points(CATALOG.tasks, kind, "score", "Settings", optional=("train", "loss"))
    return entries


def _name(baseline: Checkpoint, identity: Identity) -> str:
    setting = identity.setting.replace("=", "")[:LONGEST_SETTING]
    return "-".join([baseline.artifact.name, identity.method, *([setting] if setting else [])])
