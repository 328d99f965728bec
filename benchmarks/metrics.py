"""Items per second of each metric, batched against one sequence at a time, and the share of the matmul rate reached.

Both are timed in one run on the same checkpoint of the default study (`make` first); only their ratio means much on a
shared machine. The rate is that of multiplying two 1024 x 1024 matrices in the metric's precision, measured here;
only what scoring has to do counts, the vocabulary's products included (`useful_work.py`).
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from useful_work import counted

from fairshrink.study.jobs import EvaluateJob

FEW = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="config.yaml")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    from fairshrink.planning import grid, studies
    from fairshrink.store import artifacts

    torch.set_num_threads(options.threads)
    found = grid.expand(studies.load(options.study))
    baselines = [each for each in found.values() if each.stage == "finetune" and artifacts.exists(Path(each.path))]
    if not baselines:
        sys.exit("error: no baseline here yet; run `make` first")
    rates = {precision: matmul_rate(precision) for precision in ("fp32", "bf16")}
    print(f"matmul, {options.threads} thread(s): " + ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in rates.items()))
    names = f"{'model':9}{'task':11}{'metric':15}{'precision':10}"
    print(f"{names}{'items/s':>9}{'one by one':>12}{'ratio':>7}{'of matmul':>11}")
    done = set()
    for baseline in baselines:
        for score in found.values():
            key = (baseline.job.identity.model, baseline.job.identity.task, score.name)
            mine = score.stage == "evaluate" and score.inputs["checkpoint"] == baseline.path and not score.job.control
            if mine and key not in done:
                done.add(key)
                print_row(key, score.job, rates)


def print_row(key: tuple[str, str, str], job: EvaluateJob, rates: dict[str, float]) -> None:
    items, seconds, flops = timed(job, {})
    few = {name: FEW for name in ("sample", "texts") if isinstance(job.settings.get(name), int)}
    few_items, few_seconds, _ = timed(job, few, budget=1)
    fast, slow = items / seconds, few_items / few_seconds
    share = flops / seconds / rates[job.precision]
    print(f"{key[0]:9}{key[1]:11}{key[2]:15}{job.precision:10}{fast:9.1f}{slow:12.1f}{fast / slow:7.1f}{share:11.1%}")


def timed(job: EvaluateJob, change: dict, budget: int | None = None) -> tuple[int, float, float]:
    """Items, seconds and floating-point operations that scoring one checkpoint needs (`useful_work`)."""
    from fairshrink.contracts import Scoring
    from fairshrink.models import checkpoint as checkpoints
    from fairshrink.registry import CATALOG
    from fairshrink.stages.opening import open_task

    metric = CATALOG.metrics[job.metric]
    settings = metric.Settings(**(job.settings | change))
    cp = checkpoints.load(job.checkpoint, precision=job.precision)
    data = {role: [Path(each) for each in paths] for role, paths in job.data.items()}
    given = Scoring(cp, data, open_task(job.task) if job.task else None)
    with counted(cp.model) as work, token_budget(budget):
        started = time.perf_counter()
        items = metric.score(given, settings)
        seconds = time.perf_counter() - started
    return len(items), seconds, work.flops


@contextmanager
def token_budget(tokens: int | None) -> Iterator[None]:
    from fairshrink.models.inference import batching

    before = dict(batching.TOKENS_PER_BATCH)
    if tokens:
        batching.TOKENS_PER_BATCH.update(dict.fromkeys(before, tokens))
    try:
        yield
    finally:
        batching.TOKENS_PER_BATCH.update(before)


def matmul_rate(
    precision: str, size: int = 1024, seconds: float = 1.0, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Floating-point operations per second of a square matrix product."""
    return product_rate(precision, (size, size, size), seconds, clock)


def product_rate(
    precision: str, sizes: tuple[int, int, int], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Floating-point operations per second of a product of matrices of rows x inputs and inputs x outputs."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rows, inputs, outputs = sizes
    a, b = torch.randn(rows, inputs).to(dtype), torch.randn(inputs, outputs).to(dtype)
    a @ b
    started, runs = clock(), 0
    while clock() - started < seconds:
        a @ b
        runs += 1
    return 2 * rows * inputs * outputs * runs / (clock() - started)


if __name__ == "__main__":
    main()
