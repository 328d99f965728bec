"""A model from a folder or the hub, scored by one metric: its items and their statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fairshrink.contracts import AnyMetric, Precision, Scoring, TaskHead
from fairshrink.errors import UserError
from fairshrink.models.folder import config_of, wrong
from fairshrink.models.libraries import importing
from fairshrink.models.traits import traits
from fairshrink.registry import CATALOG
from fairshrink.scoring import abilities, hub_models
from fairshrink.settings import Settings
from fairshrink.store.checked import as_recorded
from fairshrink.study.catalog import every_role
from fairshrink.study.mistakes import Mistake, checked, suggestion

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models.checkpoint import Checkpoint

OWN = "checkpoint.json"
"""What a folder of a checkpoint of the workflow has, and others have not."""


@dataclass(frozen=True)
class Choice:
    """How models are opened. ``head``: None to take it from config.json."""

    revision: str | None = None
    head: TaskHead | None = None
    device: str = "cpu"
    precision: Precision = "fp32"


def settings_of(metric: str, given: Mapping[str, Any], sample: int | None) -> Settings:
    """The validated settings of a metric, with the size of its sample; UserError for what it does not take."""
    module = _module(metric)
    values = dict(given)
    if sample is not None:
        if "sample" not in module.Settings.model_fields:
            raise UserError(f"{metric} scores all its items: leave --sample out")
        values["sample"] = sample
    mistakes: list[Mistake] = []
    found = checked(module.Settings, values, metric, mistakes)
    if mistakes:
        raise UserError("; ".join(f"{each.key}: {each.reason} ({each.remedy})" for each in mistakes))
    return found


def score(
    model: str,
    metric: str,
    settings: Settings,
    data: Mapping[str, Sequence[Path]],
    choice: Choice,
    baseline: str | None = None,
) -> tuple[pd.DataFrame, str]:
    """The table of items, sorted, and what was scored in words. UserError for what does not fit together."""
    module = _module(metric)
    if module.NEEDS_TASK:
        raise UserError(f"{metric} scores a model on its own task, which only a study has; see docs/study.md")
    if module.NEEDS_BASELINE and baseline is None:
        raise UserError(f"{metric} compares a model with its baseline: write --baseline MODEL")
    if baseline is not None and not module.NEEDS_BASELINE:
        raise UserError(f"{metric} scores one model and compares it with none: leave --baseline out")
    check_data(metric, data)
    loaded, about = open_model(model, metric, choice, settings)
    reference = open_model(baseline, metric, choice, settings)[0] if module.NEEDS_BASELINE and baseline else None
    items = module.score(Scoring(loaded, data, None, reference), settings)
    return items.sort_values("item", kind="stable", ignore_index=True), about


def open_model(model: str, metric: str, choice: Choice, settings: Settings) -> tuple[Checkpoint, str]:
    """A checkpoint of the workflow, a published model in a folder, or one of the hub; and which it is, in words."""
    folder, where = Path(model), model
    gguf_file = folder.name if folder.suffix == ".gguf" and folder.is_file() else None
    if gguf_file:
        folder = folder.parent
    elif not folder.is_dir():
        if not hub_models.is_name(model):
            raise UserError(f"{model}: there is no such folder, and a model of the hub is called owner/name")
        folder, commit = hub_models.fetched(model, choice.revision)
        where = f"{model} at {commit}"
    if choice.revision and where == model:
        raise UserError(f"{model} is on this machine: leave --revision out")
    if (folder / OWN).is_file() and not gguf_file:
        as_recorded(folder)
        found = _checkpoints().load(folder, precision=choice.precision, device=choice.device)
        abilities.check(metric, found.head, found.labels, model)
        abilities.check_settings(metric, settings, traits(folder, config_of(folder), found.head), model)
    else:
        found = _published(folder, gguf_file, model, metric, choice, settings)
    return found, f"{where}, {found.head}, {choice.precision} on {choice.device}"


def check_data(metric: str, data: Mapping[str, Sequence[Path]]) -> None:
    """UserError where files of a role are missing, or are none of the metric's."""
    module = _module(metric)
    roles = every_role(module)
    for role in data.keys() - roles.keys():
        raise UserError(f"{metric} has no role '{role}' for data; {suggestion(role, roles)}")
    for role in module.ROLES.keys() - data.keys():
        raise UserError(f"{metric} needs --data {role}=PATH: {roles[role]}")
    for path in (each for listed in data.values() for each in listed if not each.exists()):
        raise UserError(f"{path}: there is no such file for {metric}")


def _published(
    folder: Path, gguf_file: str | None, model: str, metric: str, choice: Choice, settings: Settings
) -> Checkpoint:
    if reasons := wrong(folder, (), gguf_file):
        raise UserError(f"{model}: {'; '.join(reasons)}")
    head: TaskHead = "causal_lm"
    labels: tuple[str, ...] = ()
    if not gguf_file and choice.head in (None, "classification"):
        head, labels = abilities.head_of(folder)
    head = choice.head or head
    abilities.check(metric, head, labels, model)
    about = traits(folder, config_of(folder, gguf_file), head, gguf_file)
    abilities.check_settings(metric, settings, about, model)
    found = _checkpoints().from_source(folder, head=head, labels=labels, gguf_file=gguf_file, trained=False)
    found.model.to(choice.device)
    return dataclasses.replace(found, precision=choice.precision)


def _checkpoints() -> ModuleType:
    with importing():
        import transformers.modeling_utils  # noqa: F401  # otherwise the model's class imports it, later

        from fairshrink.models import checkpoint
    return checkpoint


def _module(metric: str) -> AnyMetric:
    if metric not in CATALOG.metrics:
        raise UserError(f"there is no metric '{metric}'; {suggestion(metric, CATALOG.metrics.names())}")
    return CATALOG.metrics[metric]
