"""Checkpoints and their scores, as the stage `evaluate` makes them, without a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis.joint import Joint, join
from fairshrink.analysis.measured import numbers
from fairshrink.contracts import AnyMetric, Scoring
from fairshrink.data.examples import Task
from fairshrink.errors import UserError
from fairshrink.judging.tables import settings_in
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.registry import CATALOG
from fairshrink.settings import Settings
from fairshrink.stats.estimates import Statistic
from fairshrink.store.checked import as_recorded
from fairshrink.study.catalog import every_role
from fairshrink.study.mistakes import Mistake, checked, suggestion

PathLike = Path | str


def load_checkpoint(path: PathLike, device: str) -> Checkpoint:
    """A checkpoint on a device. Raises UserError."""
    as_recorded(Path(path))
    return checkpoints.load(path, device=device)


def score(
    checkpoint: Checkpoint | PathLike,
    metric: str,
    data: Mapping[str, PathLike | Sequence[PathLike]],
    settings: Mapping[str, Any],
    task: Task | None,
    baseline: Checkpoint | PathLike | None = None,
) -> pd.DataFrame:
    """One row per item, sorted. Raises UserError."""
    module, chosen = _metric(metric, settings)
    if module.NEEDS_TASK and task is None:
        raise UserError(f"{metric} scores a checkpoint on its own task: give it one, `task=open_task(study, name)`")
    if module.NEEDS_BASELINE and baseline is None:
        raise UserError(f"{metric} compares a checkpoint with its baseline: give it, `baseline=PATH`")
    loaded = _loaded(checkpoint)
    reference = _loaded(baseline) if module.NEEDS_BASELINE and baseline is not None else None
    items = module.score(Scoring(loaded, _files(metric, module, data), task, reference), chosen)
    return items.sort_values("item", kind="stable", ignore_index=True)


def _loaded(checkpoint: Checkpoint | PathLike) -> Checkpoint:
    return checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, "cpu")


def summarize(items: pd.DataFrame, metric: str, settings: Mapping[str, Any], level: float) -> pd.DataFrame:
    """One row per group and statistic. Raises UserError."""
    said, items = settings_in(items, "the items")
    module, chosen = _metric(metric, {**said, **settings})
    joint = join([items], module.CLUSTERS)
    return pd.DataFrame([_row(joint, each, len(items), level) for each in module.summarize(items, chosen)])


def _row(joint: Joint, statistic: Statistic, n: int, level: float) -> dict[str, Any]:
    found = numbers(joint, statistic, None, level, n)
    return {
        "group": statistic.group,
        "statistic": statistic.name,
        "value": found["value"],
        "ci_low": np.nan if found["ci_low"] is None else found["ci_low"],
        "ci_high": np.nan if found["ci_high"] is None else found["ci_high"],
        "n_items": statistic.n_items,
        "unbiased_value": np.nan if statistic.unbiased is None else statistic.unbiased,
        "random_value": np.nan if statistic.random is None else statistic.random,
    }


def _metric(name: str, settings: Mapping[str, Any]) -> tuple[AnyMetric, Settings]:
    """The metric's module and its validated settings."""
    if name not in CATALOG.metrics:
        raise UserError(f"there is no metric '{name}'; {suggestion(name, CATALOG.metrics.names())}")
    module = CATALOG.metrics[name]
    mistakes: list[Mistake] = []
    chosen = checked(module.Settings, dict(settings), name, mistakes)
    if mistakes:
        raise UserError("; ".join(f"{each.key}: {each.reason} ({each.remedy})" for each in mistakes))
    return module, chosen


def _files(metric: str, module: AnyMetric, data: Mapping[str, PathLike | Sequence[PathLike]]) -> dict[str, list[Path]]:
    """The files of each role. Raises UserError where roles or files are missing, or are none of the metric's."""
    roles = every_role(module)
    for role in data.keys() - roles.keys():
        raise UserError(f"{metric} has no role '{role}' for data; {suggestion(role, roles)}")
    for role in module.ROLES.keys() - data.keys():
        raise UserError(f"{metric} needs data={{'{role}': path}}: {roles[role]}")
    files = {role: [Path(each) for each in _listed(given)] for role, given in data.items()}
    for path in (each for listed in files.values() for each in listed if not each.exists()):
        raise UserError(f"{path}: there is no such file for {metric}")
    return files


def _listed(given: PathLike | Sequence[PathLike]) -> Sequence[PathLike]:
    return [given] if isinstance(given, str | Path) else given
