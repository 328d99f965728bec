"""Stage 4: per-item scores of checkpoints, one Parquet file for each metric."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from fairshrink import registry
from fairshrink.data.examples import from_spec
from fairshrink.log import log
from fairshrink.models import checkpoint as checkpoints
from fairshrink.store import artifacts

ITEMS = "items.parquet"


def run(jobs: list[dict[str, Any]], device: str = "cpu") -> None:
    """Score each (checkpoint, metric); a checkpoint is loaded once for all its metrics."""
    by_checkpoint: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        by_checkpoint.setdefault(job["spec"]["checkpoint"], []).append(job)
    for path, wanted in by_checkpoint.items():
        if all(artifacts.exists(Path(job["path"])) for job in wanted):
            continue
        log(f"scoring: {Path(path).name}")
        checkpoint = checkpoints.load(Path(path), device=device)
        for job in wanted:
            artifacts.make(job, lambda folder, job=job, loaded=checkpoint: _fill(folder, job, loaded))


def _fill(folder: Path, job: dict[str, Any], checkpoint: checkpoints.Checkpoint) -> dict[str, Any]:
    spec = job["spec"]
    metric = registry.load("metrics", spec["metric"])
    settings = metric.Settings(**spec["settings"])
    items = metric.score(
        dataclasses.replace(checkpoint, precision=getattr(settings, "precision", "fp32")),
        {role: [Path(each) for each in paths] for role, paths in spec["data"].items()},
        settings,
        from_spec(spec["task"]) if spec["task"] else None,
    )
    if not items["item"].is_unique:
        raise RuntimeError(f"{spec['metric']}: item names are not unique")
    items.sort_values("item", kind="stable").to_parquet(folder / ITEMS, index=False)
    return {"items": len(items), "checkpoint": _about(Path(spec["checkpoint"]))}


def _about(path: Path) -> dict[str, Any]:
    """What tables tell of a checkpoint, kept with its scores so that they can be rebuilt without it."""
    record = artifacts.read_provenance(path)
    return {name: record[name] for name in ("key", "name", "identity", "ledger", "measurements", "made")}
