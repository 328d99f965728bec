"""What has to be done: the artefacts that are missing and needed, cut into jobs.

A keyed path that exists is valid, so planning is a walk back from the final tables: of the scores those that do not
exist are needed, of their checkpoints those that do not exist, and so on. The workflow is shown these jobs alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairshrink import keys
from fairshrink.artefacts import write_json
from fairshrink.grid import STAGES, Artefact

FOLDER = Path(".snakemake/fairshrink")
PLANS_KEPT = 20
URGENCY = {"download": 3000, "finetune": 2000, "compress": 1000, "evaluate": 0}


@dataclass(frozen=True)
class Job:
    """One process: the artefacts of one stage that it makes, and the files that it reads and writes."""

    name: str
    stage: str
    about: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    artefacts: tuple[dict[str, Any], ...]
    priority: int = 0


@dataclass(frozen=True)
class Plan:
    """The jobs of one run, and the files that the final rule waits for."""

    study: str
    threads: int
    device: str
    jobs: tuple[Job, ...]
    final: tuple[str, ...]

    def of(self, stage: str) -> list[Job]:
        """Jobs of one stage."""
        return [job for job in self.jobs if job.stage == stage]


def make(
    grid: dict[str, Artefact],
    study: str,
    *,
    threads: int = 1,
    device: str = "cpu",
    checkpoints_per_job: int = 16,
    exists: Callable[[str], bool] = lambda path: Path(path).is_file(),
    everything: bool = False,
) -> Plan:
    """The plan for a grid; ``exists`` tells whether a marker file stands, ``everything`` plans as if none did."""
    tables = next(reversed(grid.values()))
    present: Callable[[str], bool] = (lambda _: False) if everything else exists
    needed = _needed(grid, tables, present)
    waiting = _waiting(grid, needed)
    jobs: list[Job] = []
    for stage in STAGES[:-1]:
        mine = [artefact for artefact in grid.values() if artefact.stage == stage and artefact.path in needed]
        jobs += [_job(stage, batch, grid, waiting) for batch in _batches(stage, mine, checkpoints_per_job)]
    final = _final_files(tables)
    inputs = tuple(grid[path].marker for path in tables.inputs)
    jobs.append(Job("aggregate", "aggregate", f"tables and figures of study {study}", inputs, final, (tables.job,)))
    return Plan(study, threads, device, tuple(jobs), final)


def _final_files(tables: Artefact) -> tuple[str, ...]:
    return (tables.marker, *tables.spec["files"])


def _needed(grid: dict[str, Artefact], tables: Artefact, present: Callable[[str], bool]) -> set[str]:
    if all(present(each) for each in _final_files(tables)):
        return set()
    needed = {tables.path}
    pending = [tables]
    while pending:
        for path in pending.pop().inputs:
            if path not in needed and not present(grid[path].marker):
                needed.add(path)
                pending.append(grid[path])
    return needed


def _waiting(grid: dict[str, Artefact], needed: set[str]) -> Counter[str]:
    """How much work waits for each needed artefact, itself included: long chains are to start first."""
    waiting: Counter[str] = Counter()
    for path in needed:
        pending, reached = [path], {path}
        while pending:
            current = pending.pop()
            waiting[current] += grid[path].cost
            upstream = [each for each in grid[current].inputs if each in needed and each not in reached]
            reached.update(upstream)
            pending += upstream
    return waiting


def _batches(stage: str, artefacts: list[Artefact], checkpoints_per_job: int) -> Iterator[list[Artefact]]:
    """Checkpoints of one baseline share a job: the baseline is loaded once, the libraries are imported once."""
    if stage in ("download", "finetune"):
        yield from ([each] for each in artefacts)
        return
    groups: dict[str, dict[str, list[Artefact]]] = defaultdict(lambda: defaultdict(list))
    for each in artefacts:
        groups[each.batch][each.path if stage == "compress" else each.inputs[0]].append(each)
    for checkpoints in groups.values():
        bundles = list(checkpoints.values())
        for part in _evenly(bundles, checkpoints_per_job):
            yield [artefact for bundle in part for artefact in bundle]


def _evenly(items: Sequence[Any], at_most: int) -> Iterator[Sequence[Any]]:
    """Cut into as few parts as possible, of sizes that differ by one at most."""
    count = -(-len(items) // at_most)
    start = 0
    for index in range(count):
        stop = start + len(items) // count + (index < len(items) % count)
        yield items[start:stop]
        start = stop


def _job(stage: str, artefacts: list[Artefact], grid: dict[str, Artefact], waiting: Counter[str]) -> Job:
    made = {each.path for each in artefacts}
    inputs = dict.fromkeys(grid[path].marker for each in artefacts for path in each.inputs if path not in made)
    label = artefacts[0].batch or artefacts[0].name
    identity = keys.digest([each.key for each in artefacts])[:6]
    name = re.sub(r"\W", "_", f"{stage}_{label}_{identity}")
    about = label if len(artefacts) == 1 else f"{label}: {len(artefacts)} artefacts"
    outputs = tuple(each.marker for each in artefacts)
    jobs = tuple(each.job for each in artefacts)
    urgency = URGENCY[stage] + min(sum(waiting[each.path] for each in artefacts), 999)
    return Job(name, stage, about, tuple(inputs), outputs, jobs, urgency)


def write(plan: Plan, folder: Path = FOLDER) -> Path:
    """Keep a plan where the jobs' processes find it, named by its content; the oldest ones are dropped."""
    value = asdict(plan)
    path = folder / f"plan-{keys.digest(value)[:16]}.json"
    write_json(path, value)
    for old in sorted(folder.glob("plan-*.json"), key=lambda each: each.stat().st_mtime)[:-PLANS_KEPT]:
        old.unlink(missing_ok=True)
    return path


def read(path: Path) -> Plan:
    """A plan that `write` kept."""
    value = json.loads(path.read_text(encoding="utf-8"))
    jobs = tuple(
        Job(**(job | {name: tuple(job[name]) for name in ("inputs", "outputs", "artefacts")})) for job in value["jobs"]
    )
    return Plan(**(value | {"jobs": jobs, "final": tuple(value["final"])}))
