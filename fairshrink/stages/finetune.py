"""Stage 2: baselines, by fine-tuning a pretrained model on one split of a task, or without fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fairshrink.contracts import TrainedTask
from fairshrink.data.examples import frames
from fairshrink.data.shared_rows import described, shared_rows
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.planning.plan import Order
from fairshrink.stages.opening import open_pretrained, open_state, open_task
from fairshrink.store import artifacts, failures
from fairshrink.study.jobs import FinetuneJob
from fairshrink.training.state import TrainingState


def run(orders: Iterable[Order[FinetuneJob]], device: str = "cpu", save_minutes: float = 5.0) -> None:
    """Make each baseline; the state is saved every ``save_minutes`` of training, so that a killed run can resume."""
    wanted = list(orders)
    with failures.collected(len(wanted)) as failed:
        for order in wanted:
            with failed.noted([order.recipe]):
                state = open_state(order.recipe, save_minutes)
                artifacts.make(order.recipe, partial(_fill, job=order.job, device=device, state=state))
                state.clear()


def _fill(folder: Path, job: FinetuneJob, device: str, state: TrainingState) -> dict[str, Any]:
    task = open_task(job.task)
    checkpoint = open_pretrained(job.model, task.seed, task)
    checkpoint.model.to(device)
    shared: dict[str, list[int]] = {}
    if job.model.trained and isinstance(task.module, TrainedTask):
        parts = frames(task)
        shared = shared_rows(parts, task.name)
        if shared:
            log(described(shared, task.name))
        task.module.train(checkpoint, parts, task.settings, task.seed, log, state=state)
    checkpoints.save(checkpoint, folder)
    return {
        "shared_rows": shared,
        "identity": asdict(job.identity),
        "ledger": ledger.ledger(checkpoint, checkpoint),
        "measurements": ledger.measure(checkpoint, checkpoint),
    }
