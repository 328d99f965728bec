"""How long work takes that has no record, from this machine's speed: right to within a factor of three or so.

A model of ``W`` weights costs 2 W operations a token to score and 6 W to train, at a share of the rate of large matrix
products. Reading, compressing and storing it take a time that grows with W.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairshrink.models import folder
from fairshrink.planning.artifact import Artifact
from fairshrink.study.jobs import AggregateJob, CompressJob, EvaluateJob, FinetuneJob, PretrainedModel, TaskOnSplit

SHARE = 0.4
"""Of the rate of large products: what the default study reaches, 0.2 to 0.8."""
SECONDS_PER_WEIGHT = 1e-7
TOKENS = 32
"""Tokens of a training text, unless the task cuts them shorter."""
ITEMS, TOKENS_PER_ITEM = 500, 10
"""What a metric scores, where its settings do not say how many items it samples."""
BYTES_PER_ROW = 100
TABLES_S, SECONDS_PER_SCORE = 20.0, 0.2
TIMEOUT_S = 20
_PRODUCT = """
import time, numpy
n = 768
a = numpy.ones((n, n), dtype=numpy.float32)
times = []
for _ in range(6):
    began = time.process_time()
    a @ a
    times.append(time.process_time() - began)
print(2 * n**3 / max(min(times), 1e-9))
"""
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


@functools.cache
def rate() -> float | None:
    """Operations a second of one core in products of float32 matrices; None if it cannot be measured. Half a second.

    Time of the processor is counted, so that what else the machine does matters little.
    """
    import os

    try:
        done = subprocess.run(
            [sys.executable, "-c", _PRODUCT],
            env=dict(os.environ) | _ONE_THREAD,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return float(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


@dataclass(frozen=True)
class Guess:
    """Estimates the time of artifacts of a grid on a machine that does ``operations`` a second.

    ``declared``: weights of models by name, for those that are not here yet.
    """

    grid: Mapping[str, Artifact]
    operations: float
    declared: Mapping[str, float]
    local: Mapping[str, Path]

    def seconds(self, path: str) -> float | None:
        """None where it cannot be told: downloads, and models whose size is not known."""
        job = self.grid[path].job
        if isinstance(job, AggregateJob):
            return TABLES_S + SECONDS_PER_SCORE * len(job.scores)
        made = self._baseline(path)
        weights = self._weights(made) if made else None
        if weights is None:
            return None
        tokens, each = 0.0, 2.0
        if isinstance(job, FinetuneJob) and job.model.trained and job.task.train is not None:
            tokens, each = self._training(job.task), 6.0
        elif isinstance(job, CompressJob) and job.task is not None:
            tokens, each = (self._training(job.task) if self.grid[path].trains else ITEMS * TOKENS), 6.0
        elif isinstance(job, EvaluateJob):
            tokens = float(job.settings.get("sample") or ITEMS) * TOKENS_PER_ITEM
        return weights * (SECONDS_PER_WEIGHT + each * tokens / (SHARE * self.operations))

    def _baseline(self, path: str) -> FinetuneJob | None:
        """The job that made the baseline which this is, or is made of."""
        job = self.grid[path].job
        while not isinstance(job, FinetuneJob):
            if not isinstance(job, CompressJob | EvaluateJob) or job.checkpoint not in self.grid:
                return None
            job = self.grid[job.checkpoint].job
        return job

    def _weights(self, job: FinetuneJob) -> float | None:
        return weights_of(job.model, self.local) or self.declared.get(job.identity.model)

    def _training(self, task: TaskOnSplit) -> float:
        settings = task.settings
        length = min(TOKENS, int(settings.get("max_length") or TOKENS))
        rows = int(settings.get("train_items") or self._rows(task))
        return float(settings.get("epochs") or 1) * rows * length

    def _rows(self, task: TaskOnSplit) -> float:
        """About how many a table has whose files are here; else as many as in a small study."""
        if task.train is None:
            return 0.0
        root = place_of(task.train.path, self.local)
        files = [root / name if root.is_dir() else root for name in task.train.files]
        return sum(each.stat().st_size for each in files if each.is_file()) / BYTES_PER_ROW or 5000.0


def weights_of(model: PretrainedModel, local: Mapping[str, Path]) -> int | None:
    """How many numbers a model's files hold, from their headers; None if it is not here."""
    found = place_of(model.path, local)
    return _counted(found.parent if found.is_file() else found, model.gguf_file)


@functools.cache
def _counted(place: Path, gguf_file: str | None) -> int | None:
    return folder.weights(place, gguf_file)


def place_of(path: str, local: Mapping[str, Path]) -> Path:
    """Where something below a download's path is now: there, or in the local source that is to be copied."""
    if not Path(path).exists():
        for download, root in local.items():
            if path == download or path.startswith(f"{download}/"):
                below = path.removeprefix(download).strip("/")
                return root / below if below and root.is_dir() else root
    return Path(path)
