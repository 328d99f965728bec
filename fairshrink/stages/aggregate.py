"""Stage 5: the final tables and figures, from per-item scores and ledgers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairshrink.log import log
from fairshrink.reporting.write import aggregate
from fairshrink.store import artifacts


def run(jobs: list[dict[str, Any]], device: str = "cpu") -> None:
    """Make the artifact that holds the tables and figures of a study."""
    for job in jobs:
        artifacts.make(job, lambda folder, job=job: _fill(folder, job["spec"]))


def _fill(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    aggregate(spec | {"out": str(folder / "tables"), "figures": str(folder / "figures")}, log)
    return {"study": spec["study"]}
