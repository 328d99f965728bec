"""Stage 3: compressed checkpoints of one baseline, each with the ledger of what it cost and saved."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from fairshrink import registry
from fairshrink.compression._shared.context import Context
from fairshrink.data.examples import from_spec
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.stages.finetune import source
from fairshrink.store import artifacts


def run(jobs: list[dict[str, Any]], device: str = "cpu") -> None:
    """Make each compressed checkpoint; jobs of one baseline load it once."""
    loaded: dict[str, checkpoints.Checkpoint] = {}
    for job in jobs:
        path = job["spec"]["baseline"]
        if path not in loaded:
            loaded = {path: checkpoints.load(Path(path), device=device)}
        artifacts.make(job, lambda folder, job=job, baseline=loaded[path]: _fill(folder, job, baseline))


def _fill(folder: Path, job: dict[str, Any], baseline: checkpoints.Checkpoint) -> dict[str, Any]:
    spec = job["spec"]
    method = registry.load("compression", spec["method"])
    log(f"compressing: {job['name']}")
    context = Context(
        seed=spec["seed"],
        task=from_spec(spec["task"]) if spec["task"] else None,
        source=lambda: source(spec["model"], spec["seed"]),
        log=log,
    )
    compressed = method.compress(copy.deepcopy(baseline), method.Settings(**spec["settings"]), context)
    checkpoints.save(compressed, folder)
    return {
        "identity": spec["identity"],
        "ledger": ledger.ledger(compressed, baseline),
        "measurements": ledger.measure(compressed, baseline),
    }
