"""Stage 1: fetch what the study is made from, checked against its pins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairshrink import registry
from fairshrink.store import artifacts

ARCHIVES = Path("data/.archives")
"""Downloaded archives by their checksum, so that a second study needs no network."""


def run(jobs: list[dict[str, Any]], device: str = "cpu") -> None:
    """Fetch each download. Raises UserError where a pin does not hold or the network does not answer."""
    for job in jobs:
        module = registry.load("sources", job["spec"]["source"])
        settings = module.Settings(**job["spec"]["settings"])
        artifacts.make(job, lambda folder, m=module, s=settings: {"source": m.fetch(s, folder, ARCHIVES)})
