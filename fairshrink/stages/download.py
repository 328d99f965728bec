"""Stage 1: fetch the study's downloads and check them against their pins."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fairshrink.planning.plan import Order
from fairshrink.registry import CATALOG
from fairshrink.store import artifacts
from fairshrink.study.jobs import DownloadJob

ARCHIVES = Path("data/.archives")
"""Downloaded archives by their checksum, so that a second study needs no network."""


def run(orders: Iterable[Order[DownloadJob]], device: str = "cpu") -> None:
    """Fetch each download. Raises UserError if a pin does not match or the network does not respond."""
    for order in orders:
        artifacts.make(order.recipe, partial(_fill, job=order.job))


def _fill(folder: Path, job: DownloadJob) -> dict[str, Any]:
    module = CATALOG.sources[job.source]
    return {"source": module.fetch(module.Settings(**job.settings), folder, ARCHIVES)}
