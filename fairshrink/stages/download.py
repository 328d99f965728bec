"""Stage 1: fetch the study's downloads and check them against their pins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fairshrink.errors import UserError
from fairshrink.planning.plan import Order
from fairshrink.registry import CATALOG
from fairshrink.store import artifacts, failures
from fairshrink.study.jobs import DownloadJob

ARCHIVES = Path("data/.archives")
"""Downloaded archives by their checksum, so that a second study needs no network."""


def run(orders: Iterable[Order[DownloadJob]], device: str = "cpu") -> None:
    """Fetch each download. Raises UserError if a pin does not match or the network does not respond."""
    wanted = list(orders)
    with failures.collected(len(wanted)) as failed:
        for order in wanted:
            with failed.noted([order.recipe]):
                artifacts.make(order.recipe, partial(_fill, order=order))


def _fill(folder: Path, order: Order[DownloadJob]) -> dict[str, Any]:
    job = order.job
    module = CATALOG.sources[job.source]
    settings = module.Settings(**job.settings)
    found = module.fetch(settings, folder, ARCHIVES)
    if settings.local is not None:
        _unchanged(settings.local, order.recipe.parts["params"]["pin"]["files"], found["files"])
    return {"source": found}


def _unchanged(place: Path, planned: Mapping[str, str], copied: Mapping[str, str]) -> None:
    """Local files may be edited between planning and copying; the key speaks of what they were when it was computed."""
    changed = sorted(name for name in {*planned, *copied} if planned.get(name) != copied.get(name))
    if changed:
        shown = ", ".join(changed[:5]) + (", …" if len(changed) > 5 else "")
        raise UserError(f"{place}: {shown} changed after this run was planned; nothing is kept of it. Run again.")
