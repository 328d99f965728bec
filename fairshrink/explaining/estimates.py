"""How long computing will take: from the wall times in the records of earlier runs, else from the machine's speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from fairshrink.explaining.reasons import module
from fairshrink.explaining.records import Record
from fairshrink.planning.artifact import Artifact


@dataclass(frozen=True)
class Expected:
    """Seconds that an artifact takes on some GPUs, None if they are not known; ``guessed``: from no record."""

    seconds: float | None
    gpus: int
    guessed: bool = False


@dataclass(frozen=True)
class Estimate:
    """Expected seconds of computing ``count`` artifacts one after another, without the ``unknown`` ones.

    ``guessed``: of how many there is no record, so that the time is estimated from the machine's speed.
    """

    count: int
    cpu_s: float
    gpu_s: float
    unknown: int
    guessed: int = 0


def estimate(
    paths: Iterable[str],
    grid: Mapping[str, Artifact],
    records: list[Record],
    guess: Callable[[str], float | None] = lambda path: None,
) -> dict[str, Estimate]:
    """Estimates by stage; ``guess`` gives the seconds of an artifact to which no record is similar, or None."""
    found: dict[str, list[Expected]] = defaultdict(list)
    for path, each in expected(paths, grid, records, guess).items():
        found[grid[path].stage].append(each)
    return {stage: _added(each) for stage, each in found.items()}


def expected(
    paths: Iterable[str],
    grid: Mapping[str, Artifact],
    records: list[Record],
    guess: Callable[[str], float | None] = lambda path: None,
) -> dict[str, Expected]:
    """Of each artifact: the median of the most similar records, of its module and model, its module, or its stage."""
    known: dict[tuple[str, ...], list[tuple[float, int]]] = defaultdict(list)
    for record in records:
        made = record.value.get("made", {})
        if isinstance(made.get("wall_s"), int | float):
            for name in _levels(record.value["stage"], record.parts, record.path):
                known[name].append((float(made["wall_s"]), int(made.get("gpus") or 0)))
    found: dict[str, Expected] = {}
    for path in paths:
        levels = _levels(grid[path].stage, grid[path].parts, path)
        samples = next((known[name] for name in levels if name in known), None)
        found[path] = Expected(*_typical(samples)) if samples else Expected(guess(path), 0, guessed=True)
    return found


def _levels(stage: str, parts: Mapping[str, Any], path: str) -> list[tuple[str, ...]]:
    folder = path.split("/")[-2] if stage == "evaluate" else path.rsplit("/", 1)[-1]
    return [(stage, module(parts), folder.split("-")[0]), (stage, module(parts)), (stage,)]


def _typical(samples: list[tuple[float, int]]) -> tuple[float, int]:
    return median(seconds for seconds, _ in samples), round(median(gpus for _, gpus in samples))


def _added(each: list[Expected]) -> Estimate:
    known = [(one.seconds, one.gpus) for one in each if one.seconds is not None]
    return Estimate(
        count=len(each),
        cpu_s=sum(seconds for seconds, gpus in known if not gpus),
        gpu_s=sum(seconds * gpus for seconds, gpus in known),
        unknown=len(each) - len(known),
        guessed=sum(one.guessed and one.seconds is not None for one in each),
    )
