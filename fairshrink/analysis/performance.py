"""Task performance kept: where a checkpoint's task score lies between one that has learned nothing and its baseline's.

The reference is the best of what needs no learning: theory's random model, the commonest class or a table of word
frequencies (the metric gives the best of these as ``random``), and random initialization, where the study has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairshrink.analysis.measured import Measured
from fairshrink.contracts import RANDOM_INIT

TASK_METRIC = "task_score"


@dataclass(frozen=True)
class Performance:
    """Task scores of one model and task: the baseline's (with the lower end of its interval) and the reference."""

    baseline: float
    baseline_low: float
    reference: float

    @property
    def learned(self) -> bool | None:
        """Whether the baseline is better than the reference; None if there is no reference."""
        return None if math.isnan(self.reference) or math.isnan(self.baseline) else self.baseline_low > self.reference

    def kept(self, score: float) -> float:
        """Share of the distance from the reference to the baseline; NaN where the baseline has learned nothing."""
        if not self.learned:
            return math.nan
        return (score - self.reference) / (self.baseline - self.reference)


def task_metric(entries: Sequence[tuple[str, str]]) -> str | None:
    """Of (entry, kind) the entry that stands for performance: the task's own score, else the first of kind "task"."""
    names = sorted({name for name, kind in entries if kind == "task"})
    own = [name for name in names if name.startswith(TASK_METRIC)]
    return next(iter(own or names), None)


def performance(found: Sequence[Measured], level: float) -> Performance:
    """From the task scores of all cells of one model and task."""
    baseline = next(each for each in found if each.is_baseline)
    theory = [math.nan if each.statistic.random is None else each.statistic.random for each in found[:1]]
    untrained = [each.value.checkpoints.value for each in found if each.identity.method == RANDOM_INIT]
    references = [
        each for each in (*theory, *([float(np.mean(untrained))] if untrained else [])) if not math.isnan(each)
    ]
    mean = baseline.value.checkpoints
    return Performance(mean.value, mean.interval(level)[0], max(references, default=math.nan))
