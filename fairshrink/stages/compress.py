"""Stage 3: compressed checkpoints and stored controls of one baseline, each with its ledger of size and cost."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fairshrink.contracts import Context
from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.planning.plan import Order
from fairshrink.registry import CATALOG
from fairshrink.stages.opening import Tasks, open_pretrained, open_state, open_task
from fairshrink.store import artifacts, failures
from fairshrink.study.jobs import CompressJob
from fairshrink.training.state import TrainingState


def run(orders: Iterable[Order[CompressJob]], device: str = "cpu", save_minutes: float = 5.0) -> None:
    """Make each checkpoint, those after one that fails too; jobs of one baseline load it once.

    The state of methods that train once is saved every ``save_minutes``, so that a killed run can resume.
    """
    wanted = list(orders)
    loaded: dict[str, checkpoints.Checkpoint] = {}
    tasks = Tasks()
    with failures.collected(len(wanted)) as failed:
        for order in wanted:
            with failed.noted([order.recipe]):
                needed = {order.job.checkpoint, order.job.baseline}
                for path in sorted(needed):
                    if not artifacts.exists(Path(path)):
                        raise UserError(f"{path}, of which it is made, is not there: see why that failed")
                loaded = {path: each for path, each in loaded.items() if path in needed}
                for path in needed - loaded.keys():
                    loaded[path] = checkpoints.load(Path(path), device=device)
                state = open_state(order.recipe, save_minutes)
                artifacts.make(order.recipe, partial(_fill, order=order, loaded=loaded, state=state, tasks=tasks))
                state.clear()


def _source(job: CompressJob, seed: int | None = None) -> checkpoints.Checkpoint:
    if job.model is None or job.task is None:
        raise RuntimeError(
            f"{job.method} asks for the pretrained model, which is given to methods with NEEDS_TASK only"
        )
    return open_pretrained(job.model, job.seed if seed is None else seed, open_task(job.task))


def _fill(
    folder: Path,
    order: Order[CompressJob],
    loaded: dict[str, checkpoints.Checkpoint],
    state: TrainingState,
    tasks: Tasks,
) -> dict[str, Any]:
    job = order.job
    method = CATALOG.compression[job.method]
    log(f"compressing: {order.recipe.name}")
    context = Context(
        seed=job.seed,
        task=tasks.open(job.task),
        source=partial(_source, job),
        log=log,
        dose=job.dose,
        state=state,
        brought=job.model,
    )
    compressed = method.compress(copy.deepcopy(loaded[job.checkpoint]), method.Settings(**job.settings), context)
    checkpoints.save(compressed, folder)
    return {
        "identity": asdict(job.identity),
        "ledger": ledger.ledger(compressed, loaded[job.baseline]),
        "measurements": ledger.measure(compressed, loaded[job.baseline]),
    }
