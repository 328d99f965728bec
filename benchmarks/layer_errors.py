"""Does a method that looks at a layer's inputs change the layer's outputs less than its plain form, on every layer?

    .venv/bin/python benchmarks/layer_errors.py [--study configs/methods.yaml] [--model minilm] [--method gptq]

compares stored checkpoints of a study that was run: GPTQ with rounding to nearest at the same bits and group,
SparseGPT with magnitude pruning of the same shares, activation-weighted SVD with plain SVD of the same ranks, which
are made here from the baseline. The error of a layer is Σ ‖(W′ − W) x‖² / Σ ‖W x‖² over its inputs x, which are those
that the method has seen: of its calibration texts, after the blocks before were treated. `held out`: the same for as
many texts of the task's test share. Prints Markdown: in how many layers the method's error is lower, and the medians.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from fairshrink import registry
from fairshrink.compression._shared.calibration import Text, calibration_texts, walk
from fairshrink.compression._shared.moments import output_error
from fairshrink.compression._shared.settings import CalibratedSettings
from fairshrink.contracts import Context
from fairshrink.data.examples import Task, frames
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import plain
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import causal_ids, encode
from fairshrink.planning import grid, studies
from fairshrink.stages.opening import open_task
from fairshrink.study.jobs import CompressJob

PLAIN = {"gptq": "linear_quantization", "awq": "linear_quantization", "sparsegpt": "magnitude_layerwise"}
PLAIN |= {"wanda": "magnitude_layerwise", "activation_svd": "svd"}
"""Methods, and what each is compared with."""


def main() -> int:
    """Print the tables; status 1 if no checkpoint of the study can be compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="configs/methods.yaml", help="study whose checkpoints are compared")
    parser.add_argument("--model", help="only this model of the study")
    parser.add_argument("--csv", type=Path, help="write one row for each layer here")
    parser.add_argument("--method", nargs="*", default=list(PLAIN), help="only these methods")
    options = parser.parse_args()
    found = jobs(options.study, options.model, options.method)
    rows = [row for job, path in found for row in compared(job, path)]
    if not rows:
        print("no checkpoint to compare: run the study first", file=sys.stderr)
        return 1
    table = pd.DataFrame(rows)
    if options.csv:
        table.to_csv(options.csv, index=False, float_format="%.6g")
    print(markdown(table))
    return 0


def jobs(study: str, model: str | None, methods: list[str]) -> Iterator[tuple[CompressJob, Path]]:
    """The stored checkpoints of the study whose method has a plain form."""
    for each in grid.expand(studies.load(study)).values():
        job = each.job
        if isinstance(job, CompressJob) and job.method in methods and Path(each.path).is_dir():
            own = job.identity.method == job.method  # not a step of a chain
            if own and job.checkpoint == job.baseline and model in (None, job.identity.model):
                yield job, Path(each.path)


def compared(job: CompressJob, path: Path) -> Iterator[dict[str, object]]:
    """One row for each layer and kind of text."""
    method = registry.load("compression", job.method)
    settings = method.Settings(**job.settings)
    assert job.task is not None
    task = open_task(job.task)
    context = Context(seed=job.seed, task=task, source=lambda: None, log=lambda line: None)
    baseline = checkpoints.load(Path(job.baseline))
    other = registry.load("compression", PLAIN[job.method])
    shared = {name: value for name, value in job.settings.items() if name in other.Settings.model_fields}
    made = other.compress(copy.deepcopy(baseline), other.Settings(**shared), context)
    weights = [plain.dense(each).state_dict() for each in (checkpoints.load(path), made)]
    identity = job.identity
    print(f"{identity.model}: {job.method} {identity.setting}", file=sys.stderr, flush=True)
    texts = {"calibration": calibration_texts(baseline, settings, context, job.method)}
    texts["held out"] = held_out_texts(baseline, task, settings)
    for kind, given in texts.items():
        for name, mine, plainly in errors(copy.deepcopy(baseline), given, weights, settings.scope):
            yield {
                "model": identity.model,
                "method": job.method,
                "setting": identity.setting,
                "plain": PLAIN[job.method],
                "texts": kind,
                "layer": name,
                "error": mine,
                "plain_error": plainly,
            }


def held_out_texts(cp: Checkpoint, task: Task, settings: CalibratedSettings) -> list[Text]:
    """As many texts of the task's test share as it was calibrated on, read in the same way."""
    length = min(settings.calibration_length, getattr(task.settings, "max_length", settings.calibration_length))
    texts = list(frames(task)["test"].head(settings.calibration_items)["text"])
    if cp.head == "causal_lm":
        return [Text(causal_ids(cp, text, length)) for text in texts]
    return [Text(ids) for ids in encode(cp, texts, max_length=length)["input_ids"]]


@torch.no_grad()
def errors(cp: Checkpoint, texts: list[Text], weights: list[dict], scope: str) -> Iterator[tuple[str, float, float]]:
    """Of each layer: its name, the error with the first weights and with the second; the first are put in place."""
    for stage in walk(cp, texts, linear_names(cp.model, scope), {"products"}):
        for each in stage:
            original, products = each.layer.weight.float(), each.inputs["products"]
            whole = output_error(original, products)
            found = [output_error(own[f"{each.name}.weight"] - original, products) / whole for own in weights]
            yield each.name, found[0], found[1]
        for each in stage:
            each.layer.weight.copy_(weights[0][f"{each.name}.weight"])


def markdown(table: pd.DataFrame) -> str:
    """One line for each checkpoint and kind of text."""
    head = [
        "model",
        "method",
        "setting",
        "against",
        "texts",
        "layers",
        "lower in",
        "median error",
        "median of the other",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * 5 + " ---: |" * 4]
    for place, rows in table.groupby(["model", "method", "setting", "plain", "texts"], sort=False):
        lower = int((rows["error"] < rows["plain_error"]).sum())
        numbers = [str(len(rows)), str(lower), f"{rows['error'].median():.3g}", f"{rows['plain_error'].median():.3g}"]
        lines.append("| " + " | ".join([*(str(each).replace("_", " ") for each in place), *numbers]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
