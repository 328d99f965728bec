"""What models take of disk and memory, told before anything is computed: from their files, or from the study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fairshrink.explaining.speed import weights_of
from fairshrink.planning.grid import Grid
from fairshrink.study.jobs import CompressJob, FinetuneJob
from fairshrink.study.schema import Model
from fairshrink.study.study import Study

GB, MB = 1e9, 1e6
STORED_BYTES = {"float32": 4, "bfloat16": 2}
COMPUTED_BYTES = 4
"""Of a weight in memory, whatever its stored type."""
COPIES = 2
"""In memory at once: metrics of damage compare a checkpoint with its baseline."""


@dataclass(frozen=True)
class Size:
    """One model: how many checkpoints are to be made, and bytes: on disk if none is compressed, in a job's memory.

    Both are None where the model's size is not known.
    """

    model: str
    checkpoints: int
    disk: float | None
    memory: float | None


def sizes(study: Study, whole: Grid, computed: Iterable[str]) -> list[Size]:
    """Of the models of which checkpoints are to be made, in the study's order; ``computed``: artifacts to be made.

    What the headers of a model's files say goes before the ``weights`` that the study states.
    """
    counts = dict.fromkeys(study.models, 0)
    for path in computed:
        job = whole[path].job
        if isinstance(job, FinetuneJob | CompressJob) and job.identity.model in counts:
            counts[job.identity.model] += 1
    read: dict[str, int | None] = {}
    for job in (each.job for each in whole.values()):
        if isinstance(job, FinetuneJob) and counts[job.identity.model] and job.identity.model not in read:
            read[job.identity.model] = weights_of(job.model, whole.local)
    return [_size(study.models[name], name, count, read.get(name)) for name, count in counts.items() if count]


def _size(model: Model, name: str, count: int, read: int | None) -> Size:
    weights = read or model.weights
    if weights is None:
        return Size(name, count, None, None)
    return Size(name, count, count * weights * STORED_BYTES[model.dtype], COPIES * COMPUTED_BYTES * weights)


def line(size: Size) -> str:
    """A line for people."""
    made = f"{size.checkpoints} checkpoint{'s' if size.checkpoints != 1 else ''} to make"
    if size.disk is None or size.memory is None:
        key = f"models.{size.model}.weights"
        return f"{size.model}: {made}; disk and memory are not known until its files are here, unless `{key}` says it"
    return f"{size.model}: {made}, up to {_amount(size.disk)} of disk; {_amount(size.memory)} of memory in a job"


def _amount(number: float) -> str:
    if number < GB / 10:
        return f"{number / MB:,.0f} MB"
    return f"{number / GB:,.{0 if number >= 10 * GB else 1}f} GB"
