"""What has to be done: the artifacts that are missing and needed, grouped into jobs.

A keyed path that exists is valid, so planning walks back from the final tables: the scores that do not exist are
needed, then those of their checkpoints that do not exist, and so on. What is missing but can be fetched is restored,
and nothing upstream of it is needed on its account. The workflow is shown only these jobs.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from fairshrink import keys
from fairshrink.contracts import STAGES, CodeEntry
from fairshrink.planning.artifact import Artifact
from fairshrink.planning.grid import Grid
from fairshrink.store import artifacts
from fairshrink.store.artifacts import Recipe
from fairshrink.store.layout import MARKER
from fairshrink.study.jobs import AggregateJob, StageJob
from fairshrink.study.schema import Execution, Request
from fairshrink.study.uses import Use

T = TypeVar("T")
PRIORITY: Mapping[str, int] = {"download": 3000, "finetune": 2000, "compress": 1000, "evaluate": 0}
RESTORE_BATCH_SIZE = 500
LOCAL = ("restore", "download", "aggregate")


J = TypeVar("J", bound=StageJob, covariant=True)


@dataclass(frozen=True)
class Order(Generic[J]):
    """An artifact to make: the contents of its record, the input of its job, and the definitions that this calls."""

    recipe: Recipe
    job: J
    entries: tuple[CodeEntry, ...] = ()


@dataclass(frozen=True)
class Job:
    """One process: the artifacts of one stage that it makes, and the files that it reads and writes.

    Stage ``restore`` fetches artifacts of any stage. ``minutes`` to ``cpus`` are what it requests from a cluster at the
    first try, for all its artifacts together. ``expects``: for each download that it makes or restores, its path and
    what the study uses of it.
    """

    name: str
    stage: str
    about: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    artifacts: tuple[Order[StageJob], ...]
    priority: int = 0
    minutes: int = 10
    mem_mb: int = 1000
    gpus: int = 0
    cpus: int = 1
    expects: tuple[tuple[str, Use], ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it never runs on a cluster's compute node: it needs a network, or next to nothing."""
        return self.stage in LOCAL


@dataclass(frozen=True)
class Plan:
    """The jobs of one run, the artifact with the final tables, the folder with copies of it, all paths of the study.

    ``package``: the state of this package's files from which the keys were computed (`package_files.state`).
    """

    study: str
    threads: int
    device: str
    save_minutes: float
    jobs: tuple[Job, ...]
    published: str
    output: str
    paths: tuple[str, ...]
    package: str = ""

    @property
    def final(self) -> str:
        """The file that the whole run has to produce."""
        return f"{self.published}/{MARKER}"

    def of(self, *stages: str) -> list[Job]:
        """Jobs of some stages."""
        return [job for job in self.jobs if job.stage in stages]

    def outputs(self, stage: str) -> list[str]:
        """Files that the jobs of a stage make."""
        return [output for job in self.of(stage) for output in job.outputs]

    @property
    def computed(self) -> list[str]:
        """Paths of the artifacts that are to be computed."""
        return [each.recipe.path for job in self.jobs if job.stage != "restore" for each in job.artifacts]


def make(
    grid: Grid,
    study: str,
    execution: Execution | None = None,
    *,
    output: str = "results",
    exists: Callable[[str], bool] = lambda marker: artifacts.exists(Path(marker).parent),
    fetchable: Callable[[set[str]], set[str]] = lambda paths: set(),
    everything: bool = False,
    package: str = "",
) -> Plan:
    """The plan for a grid, which was expanded from the files in the state ``package``.

    ``exists`` tells whether a marker file belongs to a complete artifact, ``fetchable`` returns the missing paths that
    can be fetched, ``everything`` plans as if nothing existed anywhere.
    """
    run = execution or Execution()
    tables = grid.tables
    present: Callable[[str], bool] = (lambda _: False) if everything else exists
    computed, restored = _needed(grid, present, (lambda _: set()) if everything else fetchable)
    dependent_work = _dependent_work(grid, computed)
    jobs = list(_restore_jobs(grid, restored))
    for stage in STAGES[:-1]:
        mine = [artifact for artifact in grid.values() if artifact.stage == stage and artifact.path in computed]
        jobs += [
            _job(stage, batch, grid, dependent_work, run)
            for batch in _batches(stage, mine, grid, computed, run.checkpoints_per_job)
        ]
    if tables.path not in restored:
        jobs.append(_final_job(grid, study, computed))
    paths = tuple(grid)
    return Plan(study, run.threads, run.device, run.save_minutes, tuple(jobs), tables.path, output, paths, package)


def _final_job(grid: Grid, study: str, computed: set[str]) -> Job:
    """Part of every plan, as a report needs the rule that made the tables; without inputs if they exist already."""
    tables = grid.tables
    due = tables.path in computed
    inputs = tuple(grid[path].marker for path in tables.inputs.values()) if due else ()
    assert isinstance(tables.job, AggregateJob)
    outputs = (tables.marker, *(f"{tables.path}/{name}" for name in tables.job.files))
    return Job(
        "aggregate",
        "aggregate",
        f"tables and figures of study {study}",
        inputs,
        outputs,
        (_order(tables),) if due else (),
    )


def _needed(
    grid: Grid,
    present: Callable[[str], bool],
    fetchable: Callable[[set[str]], set[str]],
) -> tuple[set[str], set[str]]:
    """Paths to compute and paths to restore, level by level, so that a remote is queried once per level."""
    computed: set[str] = set()
    restored: set[str] = set()
    seen = {grid.tables.path}
    level = seen
    while level:
        missing = {path for path in level if not present(grid[path].marker)}
        found = fetchable(missing) if missing else set()
        restored |= found
        computed |= missing - found
        level = {path for each in missing - found for path in grid[each].inputs.values()} - seen
        seen = seen | level
    return computed, restored


def _restore_jobs(grid: Grid, restored: set[str]) -> Iterator[Job]:
    for stage in STAGES:
        mine = [artifact for artifact in grid.values() if artifact.stage == stage and artifact.path in restored]
        for part in _evenly(mine, RESTORE_BATCH_SIZE):
            name = f"restore_{stage}_{keys.digest([each.key for each in part])[:6]}"
            outputs = tuple(each.marker for each in part)
            orders = tuple(_order(each) for each in part)
            about = f"{len(part)} artifact{'s' if len(part) != 1 else ''} of stage {stage}"
            yield Job(name, "restore", about, (), outputs, orders, 4000, expects=_expected(grid, part))


def _dependent_work(grid: Grid, needed: set[str]) -> Counter[str]:
    """How much work depends on each needed artifact, itself included, so that long chains start first."""
    dependent_work: Counter[str] = Counter()
    for path in needed:
        pending, reached = [path], {path}
        while pending:
            current = pending.pop()
            dependent_work[current] += grid[path].cost
            upstream = [each for each in grid[current].inputs.values() if each in needed and each not in reached]
            reached.update(upstream)
            pending += upstream
    return dependent_work


def _batches(
    stage: str, missing: list[Artifact], grid: Grid, computed: set[str], checkpoints_per_job: int
) -> Iterator[list[Artifact]]:
    """Checkpoints of one baseline share a job: the baseline is loaded once, the libraries are imported once.

    Scoring existing checkpoints does not wait for other jobs, so these share jobs across baselines. What is trained has
    a job of its own, and what is made of that another one.
    """
    if stage in ("download", "finetune"):
        yield from ([each] for each in missing)
        return
    groups: dict[tuple[str, int], dict[str, list[Artifact]]] = defaultdict(lambda: defaultdict(list))
    for each in missing:
        checkpoint = each.inputs["checkpoint"]
        ready = stage == "evaluate" and not {checkpoint, each.inputs.get("baseline")} & computed
        # Scores are below the name of what is scored, also where that is made of a baseline and not stored.
        scored = each.path.rpartition("/")[0]
        group = ("" if ready else each.batch, _changes(grid, each) if stage == "compress" else 0)
        groups[group][each.path if stage == "compress" else scored].append(each)
    for checkpoints in groups.values():
        bundles = list(checkpoints.values())
        for part in _evenly(bundles, checkpoints_per_job):
            yield [artifact for bundle in part for artifact in bundle]


def _changes(grid: Grid, artifact: Artifact) -> int:
    """How often the batch changes along a chain: jobs with fewer changes wait for none with more."""
    before = grid[artifact.inputs["checkpoint"]]
    if before.stage != "compress":
        return 0
    return _changes(grid, before) + (before.batch != artifact.batch)


def _order(artifact: Artifact) -> Order[StageJob]:
    return Order(artifact.recipe, artifact.job, artifact.entries)


def _evenly(items: Sequence[T], at_most: int) -> Iterator[Sequence[T]]:
    """Split into as few parts as possible, of sizes that differ by at most one."""
    count = -(-len(items) // at_most)
    start = 0
    for index in range(count):
        stop = start + len(items) // count + (index < len(items) % count)
        yield items[start:stop]
        start = stop


def _job(stage: str, batch: list[Artifact], grid: Grid, dependent_work: Counter[str], run: Execution) -> Job:
    own = {each.path for each in batch}  # a later step of a chain is made of an earlier one in the same job
    inputs = dict.fromkeys(grid[path].marker for each in batch for path in each.inputs.values() if path not in own)
    labels = sorted({each.batch or each.name for each in batch})
    label = labels[0] if len(labels) == 1 else f"{len(labels)}_baselines"
    identity = keys.digest([each.path for each in batch])[:6]
    about = label if len(batch) == 1 else f"{label}: {len(batch)} artifacts"
    stage_of_request = "finetune" if any(each.trains for each in batch) else stage
    request = getattr(run, stage_of_request, None) or Request(minutes=30, mem_mb=2000, gpus=0)
    return Job(
        name=re.sub(r"\W", "_", f"{stage}_{label}_{identity}"),
        stage=stage,
        about=about,
        inputs=tuple(inputs),
        outputs=tuple(each.marker for each in batch),
        artifacts=tuple(_order(each) for each in batch),
        priority=PRIORITY[stage] + min(sum(dependent_work[each.path] for each in batch), 999),
        minutes=request.minutes * len(batch),
        mem_mb=request.mem_mb,
        gpus=request.gpus if request.gpus is not None else int(run.device != "cpu"),
        cpus=request.cpus or run.threads,
        expects=_expected(grid, batch),
    )


def _expected(grid: Grid, batch: Iterable[Artifact]) -> tuple[tuple[str, Use], ...]:
    """What is to be found in downloads; local sources that are here have been read when the study was validated."""
    paths = [each.path for each in batch if each.path not in grid.local or not grid.local[each.path].exists()]
    return tuple((path, use) for path in paths for use in grid.uses.get(path, ()))
