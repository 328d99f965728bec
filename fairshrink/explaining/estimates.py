"""How long computing will take, estimated from the wall times in the records of earlier runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from fairshrink.explaining.reasons import module
from fairshrink.explaining.records import Record
from fairshrink.planning.artifact import Artifact


@dataclass(frozen=True)
class Estimate:
    """Expected seconds of computing ``count`` artifacts one after another, without the ``unknown`` ones."""

    count: int
    cpu_s: float
    gpu_s: float
    unknown: int


def estimate(paths: Iterable[str], grid: Mapping[str, Artifact], records: list[Record]) -> dict[str, Estimate]:
    """Estimates by stage; an artifact's is the median of the most similar records: module and model, module, stage."""
    known: dict[tuple[str, ...], list[tuple[float, int]]] = defaultdict(list)
    for record in records:
        made = record.value.get("made", {})
        if isinstance(made.get("wall_s"), int | float):
            for name in _levels(record.value["stage"], record.parts, record.path):
                known[name].append((float(made["wall_s"]), int(made.get("gpus") or 0)))
    found: dict[str, list[tuple[float, int] | None]] = defaultdict(list)
    for path in paths:
        levels = _levels(grid[path].stage, grid[path].parts, path)
        samples = next((known[name] for name in levels if name in known), None)
        found[grid[path].stage].append(_typical(samples) if samples else None)
    return {stage: _added(each) for stage, each in found.items()}


def _levels(stage: str, parts: Mapping[str, Any], path: str) -> list[tuple[str, ...]]:
    folder = path.split("/")[-2] if stage == "evaluate" else path.rsplit("/", 1)[-1]
    return [(stage, module(parts), folder.split("-")[0]), (stage, module(parts)), (stage,)]


def _typical(samples: list[tuple[float, int]]) -> tuple[float, int]:
    return median(seconds for seconds, _ in samples), round(median(gpus for _, gpus in samples))


def _added(each: list[tuple[float, int] | None]) -> Estimate:
    known = [sample for sample in each if sample is not None]
    return Estimate(
        count=len(each),
        cpu_s=sum(seconds for seconds, gpus in known if not gpus),
        gpu_s=sum(seconds * gpus for seconds, gpus in known),
        unknown=len(each) - len(known),
    )
