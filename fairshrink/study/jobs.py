"""The input of a job of each stage: plain values that are written to the plan and read by the job's process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairshrink.contracts import MetricKind, Precision, Stage, StoredType, TaskHead
from fairshrink.data.table import TableReference

Values = Mapping[str, Any]
"""Settings as JSON values; the class that validates them is the module's own."""


@dataclass(frozen=True)
class Identity:
    """A checkpoint's identity in tables. ``setting`` is the readable form of the settings that distinguish it."""

    model: str
    family: str
    task: str
    split: int
    seed: int
    method: str
    method_family: str
    setting: str
    sparsity: float | None


@dataclass(frozen=True)
class PretrainedModel:
    """A downloaded model and the task head that it gets; ``path`` is a folder.

    ``names``: other words for ``labels``, which a model that was trained on such a table may use. ``trained``: whether
    a head that the model lacks is made and fine-tuned.
    """

    path: str
    gguf_file: str | None
    dtype: StoredType
    head: TaskHead
    labels: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True


@dataclass(frozen=True)
class TaskOnSplit:
    """A task on one split, with the locations of its tables."""

    name: str
    kind: str
    settings: Values
    split: int
    seed: int
    train: TableReference | None = None
    tests: Mapping[str, TableReference] = field(default_factory=dict)


@dataclass(frozen=True)
class DownloadJob:
    """Fetch one download."""

    source: str
    settings: Values


@dataclass(frozen=True)
class FinetuneJob:
    """Make one baseline."""

    model: PretrainedModel
    task: TaskOnSplit
    identity: Identity


@dataclass(frozen=True)
class CompressJob:
    """Compress the checkpoint at ``checkpoint``; ``baseline`` is what the ledger compares the result with.

    ``task`` and ``model``, the pretrained one, are given to methods with ``NEEDS_TASK``, ``dose`` to doses. For methods
    that bring a model ``model`` is that, and its ``gguf_file`` the ONNX or GGUF file that it is in.
    """

    checkpoint: str
    baseline: str
    model: PretrainedModel | None
    task: TaskOnSplit | None
    method: str
    settings: Values
    seed: int
    identity: Identity
    dose: TableReference | None = None


@dataclass(frozen=True)
class ControlRecipe:
    """How a control that is not stored is made of its baseline; ``task`` is given to methods with ``NEEDS_TASK``.

    ``key`` is the control's own: it stands for the checkpoint in tables.
    """

    key: str
    name: str
    method: str
    settings: Values
    seed: int
    task: TaskOnSplit | None
    identity: Identity


@dataclass(frozen=True)
class EvaluateJob:
    """Score the checkpoint at ``checkpoint`` with one metric; ``baseline`` if the metric compares the two.

    With ``control``, what is scored is made of that checkpoint, which is its baseline. ``polarity``: what the task says
    of its labels to metrics of sentiment.
    """

    checkpoint: str
    baseline: str | None
    metric: str
    settings: Values
    precision: Precision
    data: Mapping[str, tuple[str, ...]]
    task: TaskOnSplit | None
    control: ControlRecipe | None = None
    polarity: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint of the tables; ``record`` is the provenance of some of its scores, with a copy of its ledger.

    ``path`` is "" for a control that is not stored.
    """

    key: str
    name: str
    path: str
    record: str
    baseline_key: str
    identity: Identity


@dataclass(frozen=True)
class ScoreEntry:
    """Scores of one checkpoint by one metric: ``path`` is the Parquet file, ``record`` its provenance."""

    path: str
    record: str
    key: str
    checkpoint: str
    entry: str
    metric: str
    settings: Values
    dataset: str
    """What was read and, after a semicolon, each variant of the metric that is not its default."""


def data_of(dataset: str) -> str:
    """What was read, without the variants of the metric."""
    return dataset.partition(";")[0]


@dataclass(frozen=True)
class ValidityEntry:
    """What another study found out about a metric on a model and task."""

    model: str
    task: str
    metric: str
    outcome: str
    """`contracts.PASSED`, `CHECKPOINTS_ONLY` or `FAILED`."""


@dataclass(frozen=True)
class AggregateJob:
    """Make the final tables and figures; ``files`` are their paths below the artifact.

    ``margins``: those that the study sets, by the metric's name in it.
    """

    study: str
    level: float
    margins: Mapping[str, float]
    validity: tuple[ValidityEntry, ...]
    checkpoints: tuple[CheckpointEntry, ...]
    scores: tuple[ScoreEntry, ...]
    files: tuple[str, ...] = ()


StageJob = DownloadJob | FinetuneJob | CompressJob | EvaluateJob | AggregateJob
JOBS: Mapping[Stage, type[StageJob]] = {
    "download": DownloadJob,
    "finetune": FinetuneJob,
    "compress": CompressJob,
    "evaluate": EvaluateJob,
    "aggregate": AggregateJob,
}


@dataclass(frozen=True)
class MetricSummary:
    """What the readable tables need to know about a metric."""

    module: str
    kind: MetricKind
    statistic: str
    group: str
