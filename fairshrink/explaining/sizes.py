"""What models take of disk and memory, told before anything is fetched from how many weights a study says they have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fairshrink.planning.grid import Grid
from fairshrink.study.jobs import CompressJob, FinetuneJob
from fairshrink.study.study import Study

GB = 1e9
STORED_BYTES = {"float32": 4, "bfloat16": 2}
COMPUTED_BYTES = 4
"""Of a weight in memory, whatever its stored type."""
COPIES = 2
"""In memory at once: metrics of damage compare a checkpoint with its baseline."""


@dataclass(frozen=True)
class Size:
    """One model: how many checkpoints are to be made, and bytes: on disk if none is compressed, in a job's memory."""

    model: str
    checkpoints: int
    disk: float
    memory: float


def sizes(study: Study, whole: Grid, computed: Iterable[str]) -> list[Size]:
    """Of the models whose ``weights`` the study states, in its order; ``computed``: artifacts to be made."""
    counts = dict.fromkeys((name for name, model in study.models.items() if model.weights), 0)
    for path in computed:
        job = whole[path].job
        if isinstance(job, FinetuneJob | CompressJob) and job.identity.model in counts:
            counts[job.identity.model] += 1
    found = []
    for name, count in counts.items():
        weights = study.models[name].weights or 0.0
        disk = count * weights * STORED_BYTES[study.models[name].dtype]
        found.append(Size(name, count, disk, COPIES * COMPUTED_BYTES * weights))
    return [each for each in found if each.checkpoints]


def line(size: Size) -> str:
    """A line for people."""
    made = f"{size.checkpoints} checkpoint{'s' if size.checkpoints != 1 else ''} to make"
    disk, memory = (f"{each / GB:,.{0 if each >= 10 * GB else 1}f} GB" for each in (size.disk, size.memory))
    return f"{size.model}: {made}, up to {disk} of disk; {memory} of memory in a job"
