"""Peak memory and time of methods that calibrate on texts, relative to the model that they compress.

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/memory.py FOLDER MODEL.gguf wanda sparsegpt gptq awq
        [--items 32] [--length 64] [--blocks 0]

FOLDER may be a causal model's checkpoint in results/baselines/; MODEL.gguf is - then.

Each method runs in a process of its own on the model in float32, on one thread, with ``--items`` texts of ``--length``
random tokens. Memory is the highest resident set while the method runs, less what the process held before the model was
loaded, in multiples of the model's own bytes; 1 is the model itself. Time is CPU time, in multiples of one forward pass
over the texts through the transformer. Beside it is that of the linear algebra which the method's formula asks for,
timed by itself on matrices of the same sizes: sums of products of inputs; for each distinct input one factorization
(sparsegpt, gptq, activation_svd); for each layer a product of half the matrix (sparsegpt, gptq), of the matrix for each
power that is tried (awq), or eigenvectors (activation_svd). ``--blocks``: only so many blocks of the model, all alike,
for times on a slow machine; peaks of such a model say nothing of the whole one, whose embeddings are a smaller share.
Linux alone: the highest resident set is reset by /proc/self/clear_refs.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from compression_case import compress, context
from task_case import task_of

from fairshrink import registry
from fairshrink.compression._shared.calibration import Calibrated, calibration_texts, in_batches, walk
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.inference.forward import hidden_states

SETTINGS = {"wanda": {"sparsity": 0.5}, "sparsegpt": {"sparsity": 0.5}, "activation_svd": {"parameters_kept": 0.75}}
FACTORED = ("sparsegpt", "gptq", "activation_svd")
POWERS = 21
BATCH = 1024
MIB = 1024 * 1024


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file")
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.folder, options.methods[0], {"items": options.items, "length": options.length})
        return
    with tempfile.TemporaryDirectory() as made:
        if options.file == "-":
            source = checkpoints.load(options.folder)
        else:
            source = checkpoints.from_source(options.folder, head="causal_lm", gguf_file=options.file, trained=False)
        write_texts(Path(made) / "texts.csv", source, options.items, options.length)
        left_out = len(blocks(source.model)) - options.blocks
        if options.blocks and left_out > 0:
            source = compress("layer_dropping", source, context(), layers=left_out)
        checkpoints.save(source, Path(made) / "model")
        del source
        sizes = ["--items", str(options.items), "--length", str(options.length)]
        for method in options.methods:
            subprocess.run([sys.executable, __file__, made, "-", method, "--one", *sizes], check=True)


def write_texts(path: Path, cp: checkpoints.Checkpoint, items: int, length: int) -> None:
    """A table of texts of random tokens, more than are read."""
    drawn = torch.randint(100, len(cp.tokenizer), (2 * items, length), generator=torch.Generator().manual_seed(0))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        writer.writerows([" ".join(cp.tokenizer.decode(ids).split()) or "none"] for ids in drawn.tolist())


def one(made: Path, method: str, sizes: dict[str, int]) -> None:
    """One method, in this process."""
    torch.set_num_threads(1)
    table = {"path": str(made), "file": "texts.csv", "format": "csv", "columns": {"text": "text"}, "header": True}
    table |= {"encoding": "utf-8", "quoting": None, "labels": None}
    about = context(task_of("causal_lm", {}, table, seed=3))
    before = resident("VmRSS")
    cp = checkpoints.load(made / "model")
    size = sum(each.numel() * each.element_size() for each in cp.model.parameters())
    module, number = registry.load("compression", method), len(blocks(cp.model))
    settings = module.Settings(
        calibration_items=sizes["items"], calibration_length=sizes["length"], **SETTINGS.get(method, {})
    )
    texts = calibration_texts(cp, settings, about, method)
    batches = in_batches(cp, texts)
    tokens = sum(int(each["attention_mask"].sum()) for each in batches)
    with torch.inference_mode():
        forward = seconds(lambda: [hidden_states(cp.model, inputs) for inputs in batches])
        names = list(blocks(cp.model)[0].linears)
        algebra = number * linear_algebra(method, next(walk(cp, texts[:8], names, {"products"})), tokens)
    Path("/proc/self/clear_refs").write_text("5")
    took = seconds(lambda: module.compress(cp, settings, about))
    peak = (resident("VmHWM") - before) / size
    print(
        f"{method:14} peak {peak:.2f} x the model ({size / MIB:,.0f} MiB, {number} blocks); {took:.1f} s = "
        f"{took / forward:.1f} forward passes over {tokens:,} tokens; linear algebra {algebra / forward:.1f}, so "
        f"{took / (3 * forward + algebra):.2f} x (3 passes + linear algebra)",
        flush=True,
    )


def linear_algebra(method: str, stage: list[Calibrated], tokens: int) -> float:
    """Seconds of what a method's formula asks for in one block."""
    if method not in (*FACTORED, "awq"):
        return 0.0
    total = 0.0
    for products in {id(each.inputs): each.inputs["products"] for each in stage}.values():
        x = torch.randn(BATCH, len(products))
        total += seconds(lambda x=x: x.t() @ x) * tokens / BATCH
        if method in FACTORED:
            damped = (x.t() @ x).double() + 100 * torch.eye(len(products), dtype=torch.float64)
            factor = torch.linalg.cholesky(damped)
            inverse = 0.0 if method == "activation_svd" else 0.5
            total += seconds(lambda damped=damped: torch.linalg.cholesky(damped))
            total += inverse * seconds(lambda factor=factor: torch.cholesky_inverse(factor))
    for each in stage:
        weights, square = matrix(each.layer).float(), each.inputs["products"]
        if method == "activation_svd":
            small = weights.double() if weights.shape[0] <= weights.shape[1] else weights.double().t()
            total += seconds(lambda small=small: torch.linalg.eigh(small @ small.t()))
        else:
            times = POWERS if method == "awq" else 0.5
            total += times * seconds(lambda weights=weights, square=square: weights @ square)
    return total


def seconds(compute: Callable[[], object]) -> float:
    """CPU time of a computation."""
    began = time.process_time()
    compute()
    return time.process_time() - began


def resident(name: str) -> int:
    """Bytes of this process's resident set: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
