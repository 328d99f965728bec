"""A validated study as typed objects."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fairshrink.contracts import AnyMethod, AnyMetric, AnySource, AnyTask, Capability, Control
from fairshrink.data.table import Table
from fairshrink.settings import Settings, SourceSettings
from fairshrink.study.jobs import ValidityEntry
from fairshrink.study.schema import (
    ChainKeys,
    CompressionKeys,
    ControlKeys,
    Execution,
    MetricKeys,
    Model,
    Statistics,
    TaskKeys,
)


@dataclass(frozen=True)
class Download:
    """An entry under ``downloads``; ``module`` is its source."""

    name: str
    source: str
    module: AnySource
    settings: SourceSettings


@dataclass(frozen=True)
class TaskEntry:
    """An entry under ``tasks``; ``module`` is its kind, ``provides`` are the capabilities of its checkpoints."""

    name: str
    kind: str
    module: AnyTask
    settings: Settings
    keys: TaskKeys
    provides: frozenset[Capability] = frozenset()

    @property
    def trained(self) -> bool:
        """Whether its baselines are fine-tuned; if not, models are used as they are."""
        return self.module.TRAINED and self.keys.finetune

    @property
    def main(self) -> Table | None:
        """The table that says what columns and labels there are: the examples, else the test table of most labels."""
        if self.keys.train is not None:
            return self.keys.train
        return max(self.tests.values(), key=lambda table: len(table.label_names or ()), default=None)

    @property
    def labels(self) -> Sequence[str]:
        """Names of the labels, in the order of the model's outputs; none where labels are numbers."""
        return self.main.label_names or () if self.main is not None else ()

    @property
    def tests(self) -> Mapping[str, Table]:
        """Test tables by name, sorted by it."""
        return dict(sorted((self.keys.test or {}).items()))

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every table with its path below the task, e.g. ``test.matched``."""
        if self.keys.train is not None:
            yield "train", self.keys.train
        for name, table in self.tests.items():
            yield f"test.{name}", table


@dataclass(frozen=True)
class CompressionEntry:
    """One point of the grid of an entry under ``compressions``; ``explicit`` are the settings given in the file."""

    method: str
    module: AnyMethod
    settings: Settings
    keys: CompressionKeys
    explicit: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ChainEntry:
    """One point of the grid of a chain under ``compressions``: two or more steps, in their order."""

    steps: tuple[CompressionEntry, ...]
    keys: ChainKeys

    @property
    def method(self) -> str:
        """What it is called in tables, in the column of methods."""
        return self.keys.name or "+".join(step.method for step in self.steps)

    def until(self, number: int) -> ChainEntry:
        """The chain of its first steps, which has no name."""
        return ChainEntry(self.steps[:number], self.keys.model_copy(update={"name": None}))


@dataclass(frozen=True)
class ControlEntry:
    """One point of the grid of an entry under ``controls``, or one amount of one under ``doses``.

    ``dose``: the table of a dose, and ``setting`` what a dose is called in tables.
    """

    method: str
    module: AnyMethod
    settings: Settings
    keys: ControlKeys
    explicit: frozenset[str] = frozenset()
    dose: Table | None = None
    setting: str = ""

    @property
    def stored(self) -> bool:
        """Whether its checkpoint is an artifact; if not, its scores are made straight from the baseline."""
        return not isinstance(self.module, Control) or self.module.STORED

    def shown_by(self, metric: MetricEntry, provides: Collection[Capability]) -> bool:
        """Whether a metric says anything about it, of what its task provides."""
        outputs_only = isinstance(self.module, Control) and self.module.OUTPUTS_ONLY
        named = self.keys.metrics is None or metric.name in self.keys.metrics
        return named and bool(metric.module.NEEDS & set(provides) - ({"embedding"} if outputs_only else set()))


@dataclass(frozen=True)
class MetricEntry:
    """An entry under ``metrics``; ``name`` is its name in tables."""

    name: str
    metric: str
    module: AnyMetric
    settings: Settings
    keys: MetricKeys


@dataclass(frozen=True)
class Study:
    """A validated study. ``whole``: whether all its models and tasks could be read."""

    name: str
    file: str
    seed: int
    downloads: Mapping[str, Download]
    models: Mapping[str, Model]
    tasks: Mapping[str, TaskEntry]
    compressions: Sequence[CompressionEntry]
    metrics: Sequence[MetricEntry]
    chains: Sequence[ChainEntry] = ()
    controls: Sequence[ControlEntry] = ()
    statistics: Statistics = field(default_factory=Statistics)
    execution: Execution = field(default_factory=Execution)
    output: str = "results"
    validity: Sequence[ValidityEntry] = ()
    whole: bool = True

    def pairs(self, models: Sequence[str] | None, tasks: Sequence[str] | None) -> Iterator[tuple[str, TaskEntry]]:
        """(model, task) of every baseline that an entry names; None stands for all."""
        for model_name, model in self.models.items():
            if models is not None and model_name not in models:
                continue
            for task in model.tasks:
                if (tasks is None or task in tasks) and task in self.tasks:
                    yield model_name, self.tasks[task]

    def compressed(self, entry: CompressionEntry | ChainEntry) -> list[tuple[str, str]]:
        """(model, task) that a compression is applied to."""
        return [(model, task.name) for model, task in self.pairs(entry.keys.models, entry.keys.tasks)]

    def controlled(self, entry: ControlEntry) -> list[tuple[str, str]]:
        """(model, task) that a control is made of: those with a task head that it can be made of."""
        pairs = self.pairs(entry.keys.models, entry.keys.tasks)
        heads = entry.module.HEADS if isinstance(entry.module, Control) else ()
        return [(model, task.name) for model, task in pairs if task.module.HEAD in heads]

    def scored(self, entry: MetricEntry) -> list[tuple[str, str]]:
        """(model, task) whose checkpoints a metric scores: those that provide what it needs."""
        pairs = self.pairs(entry.keys.models, entry.keys.tasks)
        return [(model, task.name) for model, task in pairs if task.provides & entry.module.NEEDS]
