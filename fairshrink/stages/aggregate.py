"""Stage 5: the final tables and figures, from per-item scores and ledgers alone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fairshrink.log import log
from fairshrink.planning.plan import Order
from fairshrink.registry import CATALOG
from fairshrink.reporting.write import aggregate
from fairshrink.store import artifacts
from fairshrink.study.jobs import AggregateJob


def run(orders: Iterable[Order[AggregateJob]], device: str = "cpu") -> None:
    """Make the artifact that holds the tables and figures of a study."""
    for order in orders:
        artifacts.make(order.recipe, partial(_fill, job=order.job))


def _fill(folder: Path, job: AggregateJob) -> dict[str, Any]:
    metrics = {each.metric: CATALOG.metrics[each.metric] for each in job.scores}
    aggregate(job, metrics, folder, log)
    return {"study": job.study}
