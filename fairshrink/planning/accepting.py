"""Functions that accept modules which keep to a contract, for the static type checker: each does nothing."""

from __future__ import annotations

from fairshrink.contracts import (
    BiasMetric,
    Control,
    D,
    Fitting,
    FittingMethod,
    Formed,
    LossTask,
    Method,
    Metric,
    OptionalData,
    Removal,
    S,
    Selective,
    Source,
    TaskKind,
    TrainedTask,
    TrainingMethod,
)


def holds_source(module: Source[D]) -> None:
    """Accepted by the type checker for modules that are sources; does nothing."""


def holds_task(module: TaskKind[S]) -> None:
    """Accepted by the type checker for modules that are kinds of task; does nothing."""


def holds_loss(module: LossTask[S]) -> None:
    """Accepted by the type checker for kinds of task with a loss; does nothing."""


def holds_training(module: TrainedTask[S]) -> None:
    """Accepted by the type checker for kinds of task that a model is fine-tuned on; does nothing."""


def holds_method(module: Method[S]) -> None:
    """Accepted by the type checker for modules that are methods; does nothing."""


def holds_control(module: Control) -> None:
    """Accepted by the type checker for methods that are controls; does nothing."""


def holds_training_method(module: TrainingMethod) -> None:
    """Accepted by the type checker for methods that train as baselines do; does nothing."""


def holds_fitting_method(module: FittingMethod) -> None:
    """Accepted by the type checker for methods that train by steps of their own; does nothing."""


def holds_formed(module: Formed) -> None:
    """Accepted by the type checker for methods that say which forms of weights they take and give; does nothing."""


def holds_fitting(module: Fitting[S]) -> None:
    """Accepted by the type checker for methods whose settings have to fit a model; does nothing."""


def holds_removal(module: Removal) -> None:
    """Accepted by the type checker for methods that remove parts of a model; does nothing."""


def holds_metric(module: Metric[S]) -> None:
    """Accepted by the type checker for modules that are metrics; does nothing."""


def holds_optional_data(module: OptionalData) -> None:
    """Accepted by the type checker for metrics for which a study can name other data; does nothing."""


def holds_bias_metric(module: BiasMetric[S]) -> None:
    """Accepted by the type checker for metrics of bias; does nothing."""


def holds_selective(module: Selective[S]) -> None:
    """Accepted by the type checker for metrics whose settings have to suit a model; does nothing."""
