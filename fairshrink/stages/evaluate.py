"""Stage 4: per-item scores of checkpoints, one Parquet file for each metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fairshrink.contracts import Precision, Scoring
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference.memo import Memo
from fairshrink.planning.plan import Order
from fairshrink.registry import CATALOG
from fairshrink.stages import controls
from fairshrink.stages.opening import Tasks
from fairshrink.store import artifacts, failures
from fairshrink.store.layout import ITEMS
from fairshrink.study.jobs import EvaluateJob

Loaded = dict[str, checkpoints.Checkpoint]


def run(orders: Iterable[Order[EvaluateJob]], device: str = "cpu") -> None:
    """Score each (checkpoint, metric); a checkpoint is loaded once for all its metrics, with its baseline if needed.

    A control that is not stored is made once for all its metrics, of its baseline. What fails does not keep the rest
    from being scored.
    """
    all_orders = list(orders)
    by_checkpoint: dict[tuple[str, str], list[Order[EvaluateJob]]] = {}
    for order in all_orders:
        if not artifacts.exists(Path(order.recipe.path)):
            job = order.job
            by_checkpoint.setdefault((job.checkpoint, job.control.key if job.control else ""), []).append(order)
    # A model that nothing computes in float32 may be held in less; controls are made by changing its weights.
    less = all(order.job.precision == "bf16" and not order.job.control for order in all_orders)
    precision: Precision = "bf16" if less else "fp32"
    loaded: Loaded = {}
    tasks = Tasks()
    with failures.collected(len(all_orders)) as failed:
        for wanted in by_checkpoint.values():
            with failed.noted([order.recipe for order in wanted]):
                scored, record = _open(wanted, loaded, precision, device)
                for order in wanted:
                    fill = partial(_fill, job=order.job, scored=scored, loaded=loaded, record=record, tasks=tasks)
                    with failed.noted([order.recipe]):
                        artifacts.make(order.recipe, fill)


def _open(
    wanted: Sequence[Order[EvaluateJob]], loaded: Loaded, precision: Precision, device: str
) -> tuple[checkpoints.Checkpoint, Mapping[str, Any]]:
    """What these orders score, and its record; ``loaded`` has what they need afterwards, and nothing else."""
    path, control = wanted[0].job.checkpoint, wanted[0].job.control
    log(f"scoring: {control.name if control else Path(path).name}")
    needed = {path, *(order.job.baseline for order in wanted if order.job.baseline)}
    for each in loaded.keys() - needed:
        del loaded[each]
    for each in needed - loaded.keys():
        loaded[each] = _with_memo(checkpoints.load(Path(each), precision=precision, device=device))
    if control:
        made, record = controls.make(control, loaded[path])
        return _with_memo(made), record
    return loaded[path], _record_of(Path(path))


def _with_memo(cp: checkpoints.Checkpoint) -> checkpoints.Checkpoint:
    return dataclasses.replace(cp, memo=Memo(cp.model))


def _fill(
    folder: Path,
    job: EvaluateJob,
    scored: checkpoints.Checkpoint,
    loaded: Loaded,
    record: Mapping[str, Any],
    tasks: Tasks,
) -> dict[str, Any]:
    metric = CATALOG.metrics[job.metric]
    given = Scoring(
        checkpoint=dataclasses.replace(scored, precision=job.precision),
        data={role: [Path(each) for each in paths] for role, paths in job.data.items()},
        task=tasks.open(job.task),
        baseline=dataclasses.replace(loaded[job.baseline], precision=job.precision) if job.baseline else None,
        polarity=job.polarity,
    )
    items = metric.score(given, metric.Settings(**job.settings))
    if not items["item"].is_unique:
        raise RuntimeError(f"{job.metric}: item names are not unique")
    items.sort_values("item", kind="stable").to_parquet(folder / ITEMS, index=False)
    return {"items": len(items), "checkpoint": record}


def _record_of(path: Path) -> dict[str, Any]:
    """What tables need to know about a checkpoint, stored with its scores so that they can be rebuilt without it."""
    record = artifacts.read_provenance(path)
    named = ("key", "name", "identity", "ledger", "measurements", "made", "shared_rows")
    return {name: record[name] for name in named if name in record}
