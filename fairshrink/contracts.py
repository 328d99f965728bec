"""Interfaces of sources, tasks, methods and metrics, and what each gets as input: types only.

A module found by name (`fairshrink.registry`) is itself the implementation: its functions and constants are those that
a Protocol here requires. ``make lint`` checks every module against its Protocol with a static type checker; nothing is
checked at run time. Types that several rooms share (capabilities, precisions, scopes, ...) are defined here once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

from fairshrink.errors import UserError
from fairshrink.settings import Settings, SourceSettings

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from pandas import DataFrame

    from fairshrink.data.examples import Task
    from fairshrink.data.table import TableReference
    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.stats.estimates import Statistic
    from fairshrink.stats.signals import Margin, OwnSkill, Signal
    from fairshrink.study.jobs import PretrainedModel
    from fairshrink.training.fit import Loss
    from fairshrink.training.state import TrainingState

Stage = Literal["download", "finetune", "compress", "evaluate", "aggregate"]
STAGES: tuple[Stage, ...] = get_args(Stage)
TaskHead = Literal["encoder", "masked_lm", "causal_lm", "regression", "classification"]
"""The layers on top of a transformer: none, a language-model head, or a linear layer over the pooled output."""
ALL_HEADS: tuple[TaskHead, ...] = get_args(TaskHead)
ModelFamily = Literal["encoder", "causal"]
Capability = Literal[
    "embedding",
    "masked_lm",
    "causal_lm",
    "regression",
    "sentence_regression",
    "sentence_classification",
    "sentiment",
    "nli",
    "similarity",
    "scored",
    "texts",
    "multiple_choice",
]
"""What can be computed from a checkpoint: a task provides capabilities, a metric needs one of some.

``scored``: test items with all that a task score needs; ``texts``: test items without labels;
``multiple_choice``: whether the second text of a pair is the right answer to the first.
"""
Precision = Literal["fp32", "bf16"]
StoredType = Literal["float32", "bfloat16"]
Pooling = Literal["mean", "cls", "last", "mean_all"]
"""A text's vector: mean over real tokens, the first token, the last token, or the mean with special tokens."""
Scope = Literal["encoder", "attention", "feed_forward", "all"]
"""Which linear layers: all in the blocks, only query, key and value, only feed-forward, or all with the task head's."""
Part = Literal["linears", "heads", "layers"]
"""What a method treats: weights of linear layers, or whole heads or layers, which not every architecture can lose."""
Form = Literal["baseline", "dense", "factored", "packed"]
"""Weights of linear layers as a method finds or leaves them.

Of an uncompressed model; matrices of floating-point numbers, pruned ones among them; products of such matrices, which
can be trained but not pruned; codes of few bits, which can be neither.
"""
RestorePolicy = Literal["required", "preferred", "never"]
MetricKind = Literal["intrinsic", "extrinsic", "damage", "task"]
BIAS_KINDS: tuple[MetricKind, ...] = ("intrinsic", "extrinsic")
"""Kinds of metric that measure bias; the others measure the damage to a model and its skill."""
Direction = Literal["better", "worse", "more_biased", "", "count"]
"""What a higher value means; worse: of errors and damage; "" if bias is the distance from the unbiased value, and of
values without one that only describe; a count has no sampling error."""

BASELINE = "none"
"""The method of a checkpoint that is not compressed."""
RANDOM_INIT = "random_init"
"""The control whose scores are the random model's."""
UNDIRECTED = ("weight_noise", "random_heads")
"""The controls that damage a model in no direction: what a method's effect has to stand out from."""
TRAINED_FURTHER = "trained_further"
"""The control of methods that train: the baseline trained as long as they train, without compression."""
CONTROLS = "controls"
"""The family of methods that damage or replace a model without compressing it."""
PASSED, CHECKPOINTS_ONLY, FAILED, UNTESTED = "passed", "checkpoints only", "failed", "untested"
"""What the tests of a metric's validity said; the second: it failed none but those about training in general."""
TRAINING_TESTS = frozenset({"seeds", "splits"})
"""Tests of validity that ask whether a value holds for training in general, not for the checkpoints at hand alone."""
NON_SOCIAL = "non_social"
"""The group of a metric's items that concern no group of people: a metric should find nothing there."""
CHAIN = "hybrid"
"""The family of chains, and of methods that only make sense after others."""
DOSE = "dose"
"""The control that biases a baseline on purpose; it has a section of its own in a study."""

S = TypeVar("S", bound=Settings)
S_contra = TypeVar("S_contra", bound=Settings, contravariant=True)
D = TypeVar("D", bound=SourceSettings)


@dataclass(frozen=True)
class CodeEntry:
    """A definition that a job looks up by name: a module below the package, and a name in it.

    One that is not ``required`` may be missing, such as the loss of a kind of task.
    """

    module: str
    name: str
    required: bool = True


@dataclass(frozen=True)
class Forms:
    """What a step of a chain finds and leaves: the forms of weights that it takes, and the one that it gives.

    ``gives`` None: the form that it was given, an uncompressed model being dense afterwards.
    """

    takes: frozenset[Form] = frozenset({"baseline", "dense"})
    gives: Form | None = None

    def after(self, given: Form) -> Form:
        """The form of weights that were ``given`` to the method."""
        return self.gives or ("dense" if given == "baseline" else given)


@dataclass(frozen=True)
class Scoring:
    """The input of a metric besides its settings.

    ``checkpoint`` has the precision that the study specifies; ``baseline`` is the uncompressed model it was made from,
    for metrics with ``NEEDS_BASELINE``; ``data`` are files by role; ``task`` is for metrics with ``NEEDS_TASK``;
    ``polarity`` says how positive each label is, for metrics that need ``sentiment``, where the study says it.
    """

    checkpoint: Checkpoint
    data: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    task: Task | None = None
    baseline: Checkpoint | None = None
    polarity: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """The input of a method besides the checkpoint and its settings.

    ``seed``: for everything random in the method. ``task``: for methods with ``NEEDS_TASK``. ``source()``: for the same
    methods, the pretrained model with the task's new head, from which fine-tuning started; ``source(seed)``: with a
    head drawn from another seed. ``log``: takes one line of progress. ``dose``: the table of the control `dose`.
    ``state``: for methods that train once, from the first step to the last. ``on_round(round, checkpoint, masks)``:
    called by iterative methods after each reset, before training continues. ``brought``: for methods that bring a model
    (`study.brought`), which: its folder, file, and whether its head is to be trained.
    """

    seed: int
    task: Task | None
    source: Callable[..., Checkpoint]
    log: Callable[[str], None]
    dose: TableReference | None = None
    state: TrainingState | None = None
    on_round: Callable[[int, Checkpoint, dict[str, torch.Tensor]], None] | None = None
    brought: PretrainedModel | None = None

    def task_with_examples(self, method: str) -> Task:
        """The task; UserError if there is none or it has nothing to train on."""
        if self.task is None:
            raise UserError(f"{method} needs a task with examples: give it one under `tasks`")
        if self.task.train is None:
            raise UserError(f"{method} needs examples: give tasks.{self.task.name} a `train:` table")
        return self.task


class Source(Protocol[D]):
    """Where a download comes from."""

    Settings: type[D]

    def pin(self, settings: D, /) -> Mapping[str, Any]:
        """What identifies the contents, without network access. UserError if nothing does."""

    def fetch(self, settings: D, target: Path, cache: Path, /) -> Mapping[str, Any]:
        """Fill an empty folder; returns what the provenance record keeps. UserError if a pin does not match."""

    def code(self, settings: D, /) -> Sequence[CodeEntry]:
        """Code that generates the contents and is found by name; none for what is only fetched."""


class TaskKind(Protocol[S]):
    """A kind of task: its task head, what it provides, how its examples are scored."""

    HEAD: TaskHead
    TRAINED: bool
    Settings: type[S]

    def provides(self, settings: S, columns: set[str], labels: Sequence[str] | None, /) -> frozenset[Capability]:
        """The capabilities of a checkpoint of such a task."""

    def score(self, cp: Checkpoint, frame: DataFrame, settings: S, /) -> DataFrame:
        """Per-row scores of the examples in ``frame``."""


@runtime_checkable
class LossTask(Protocol[S_contra]):
    """A kind of task with a differentiable loss."""

    def loss(self, cp: Checkpoint, frame: DataFrame, settings: S_contra, /) -> Loss:
        """The training objective over the examples."""


@runtime_checkable
class TrainedTask(Protocol[S_contra]):
    """A kind of task that a model is fine-tuned on."""

    def train(
        self,
        cp: Checkpoint,
        frames: Mapping[str, DataFrame],
        settings: S_contra,
        seed: int,
        log: Callable[[str], None],
        **steps: Any,
    ) -> None:
        """Fine-tune in place; ``steps`` as `training.fit.fit` takes them."""


class Method(Protocol[S]):
    """A compression method, or a control."""

    NEEDS_TASK: bool
    Settings: type[S]

    def compress(self, cp: Checkpoint, settings: S, context: Context, /) -> Checkpoint:
        """The compressed checkpoint; ``cp`` may be changed in place."""


@runtime_checkable
class Control(Protocol):
    """What a method of the family `CONTROLS` says besides.

    ``STORED``: whether its checkpoint is stored. One that its seed makes again in a second is not: it is made where it
    is scored, so it gets no pretrained model, and it may change how a checkpoint computes. ``HEADS``: the task heads of
    the baselines that it can be made of. ``OUTPUTS_ONLY``: whether the representations inside the model are left as
    they are, so that metrics that read nothing else say nothing of it.
    """

    STORED: bool
    HEADS: tuple[TaskHead, ...]
    OUTPUTS_ONLY: bool


@runtime_checkable
class TrainingMethod(Protocol):
    """What a method says besides that trains.

    ``TRAINS``: whether it trains as the baseline of its task was trained, so that there has to be such a training.
    """

    TRAINS: bool


@runtime_checkable
class FittingMethod(Protocol):
    """What a method says besides that trains by steps of its own.

    ``FITS``: whether it minimizes the loss of the task, which its kind has to have; whether the baseline was trained
    does not matter.
    """

    FITS: bool


@runtime_checkable
class Formed(Protocol):
    """What a method says besides that does not take any dense weights and leave them dense: see `Forms`."""

    FORMS: Forms


@runtime_checkable
class Fitting(Protocol[S_contra]):
    """What a method says besides whose settings have to fit the sizes of a model."""

    def misfits(self, settings: S_contra, config: Mapping[str, Any], /) -> Sequence[tuple[str, str, str]]:
        """What does not fit, seen from the content of config.json: a setting, the reason, and what to write instead."""


@runtime_checkable
class Removal(Protocol):
    """What a method that removes parts of a model says besides: which, because some architectures cannot lose them."""

    REMOVES: Part


@dataclass(frozen=True)
class ModelTraits:
    """What is known of a model without loading it; None where its files do not say it, or are not here yet.

    ``positions``: tokens of the longest sequence. ``chat_template``: whether its tokenizer has one.
    """

    head: TaskHead
    positions: int | None = None
    chat_template: bool | None = None


class Metric(Protocol[S]):
    """A metric of bias, damage or skill: per-item scores of a checkpoint, and the statistics computed from them.

    ``ROLES``: data that the study must name, with what it is. ``HEADLINE``: (statistic, group) for tables and figures.
    ``CLUSTERS``: one or two columns of the items; rows with equal values in one of them are not independent.
    """

    NEEDS: frozenset[Capability]
    NEEDS_TASK: bool
    NEEDS_BASELINE: bool
    KIND: MetricKind
    ROLES: dict[str, str]
    HEADLINE: tuple[str, str]
    CLUSTERS: tuple[str, ...]
    Settings: type[S]

    def score(self, given: Scoring, settings: S, /) -> DataFrame:
        """One row per item: ``item`` (unique), ``cluster`` (resampled together), ``group``, and its own columns."""

    def summarize(self, items: DataFrame, settings: S, /) -> Sequence[Statistic]:
        """The statistics of a table that `score` returned; without a model."""


@runtime_checkable
class OptionalData(Protocol):
    """What a metric says besides that has data of its own, for which a study can name others.

    ``OPTIONAL_ROLES``: these data, with what they are; they may be missing in ``data`` of `Scoring`.
    """

    OPTIONAL_ROLES: dict[str, str]


@runtime_checkable
class BiasMetric(Protocol[S_contra]):
    """A metric of bias: what a verdict needs besides its statistics.

    ``MARGIN``: the default of the smallest change that matters. ``OWN_SKILL``: what the metric presupposes of a model,
    None if nothing.
    """

    MARGIN: Margin
    OWN_SKILL: OwnSkill | None

    def signal(self, items: DataFrame, settings: S_contra, /) -> Signal | None:
        """The headline of a table that `score` returned as a functional of signals; None if it is none.

        The functional of the signals equals the headline's value.
        """


@runtime_checkable
class Selective(Protocol[S_contra]):
    """What a metric says besides whose settings do not suit every model that gives what it ``NEEDS``."""

    def unsuited(self, settings: S_contra, model: ModelTraits, /) -> Sequence[tuple[str, str, str]]:
        """What does not suit the model: a setting, the reason, and what to write instead."""


# Which settings a module takes is known only when a study has been read: its own class has validated them by then.
AnySource = Source[Any]
AnyTask = TaskKind[Any]
AnyMethod = Method[Any]
AnyMetric = Metric[Any]
