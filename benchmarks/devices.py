"""The same compressions and scores on a CPU and on a GPU, and how fast a GPU scores.

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/devices.py [--device cuda] [--only movement honest ...]

needs a GPU and takes a few minutes. It prints three tables, and ends with status 1 if a compression or a metric fails
on the GPU.

*Compressions*: the largest difference of a logit between the model compressed on either device, relative to the largest
logit, beside the share of weights that differ. Rounding may decide otherwise where two weights are nearly equal, so
methods that choose by computed importances differ in single weights. *Scores*: the largest difference of any number in
the per-item table. *Speed*: CrowS-Pairs sentences of models of real size with random weights, batched against one at a
time on the same device, and the share of a square matrix product's rate, vocabulary head included.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import metric_case
import numpy as np
import pandas as pd
import tiny
import torch
import transformers
from compression_case import context, few_of, task
from compression_case import tiny as tiny_model

from fairshrink import registry
from fairshrink.contracts import CONTROLS, Scoring
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference import batching

SIZES = {
    "masked_lm": transformers.RobertaConfig(
        vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, attn_implementation="sdpa"
    ),
    "causal_lm": transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    ),
}
"""RoBERTa-base, and SmolLM2 of 135 M parameters."""
PAIRS, FEW = 1508, 40


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these methods and metrics, and no speeds")
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this processor"
    print(f"{name}; torch {torch.__version__}, transformers {transformers.__version__}\n")
    failed = [each for table in (compressions(device, options.only), scores(device, options.only)) for each in table]
    if device.type == "cuda" and not options.only:
        speeds(device)
    return int(bool(failed))


def compressions(device: torch.device, only: Sequence[str] | None) -> Iterator[str]:
    """A row for each method, or those of ``only``, and model; yields what failed."""
    print(f"| {'method':22} | {'model':18} | logits differ by | weights that differ |\n|---|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for model, kind in (("bert", "classification"), ("llama", "causal_lm")):
            cp = tiny_model(model, Path(folder))
            few = {"train_items": 16} if kind == "classification" else {}
            for method in registry.names("compression"):
                if registry.modules("compression").family(method) == CONTROLS or method not in (only or (method,)):
                    continue
                about = context(task(Path(folder), kind, **few), source=lambda *_, cp=cp: copy.deepcopy(cp))
                try:
                    there, here = (_compressed(method, cp, where, about) for where in (device, torch.device("cpu")))
                    row = f"{_difference(there, here):16.1e} | {_other_weights(there, here):19.2%}"
                except UserError as error:
                    row = f"{'refused':>16} | {str(error)[:60]}"
                except Exception as error:  # what goes wrong is the result
                    row = f"{'FAILED':>16} | {error!r:.120}"
                    yield f"{method}, {model}"
                print(f"| {method:22} | {model + ', ' + kind:18} | {row} |", flush=True)


def _compressed(method: str, cp: Checkpoint, device: torch.device, about: Any) -> Checkpoint:
    module = registry.load("compression", method)
    moved = _on(copy.deepcopy(cp), device)
    return module.compress(moved, module.Settings(**few_of(method)), about)


def _on(cp: Checkpoint, device: torch.device) -> Checkpoint:
    cp.model.to(device)
    return cp


def _difference(one: Checkpoint, other: Checkpoint) -> float:
    n = other.model.get_input_embeddings().num_embeddings
    ids = torch.randint(5, n, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outs = [cp.model.eval()(input_ids=ids.to(cp.device)).logits.float().cpu() for cp in (one, other)]
    return float((outs[0] - outs[1]).abs().max() / outs[1].abs().max())


def _other_weights(one: Checkpoint, other: Checkpoint) -> float:
    """The share of weights further apart than rounding takes them."""
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    apart, total = 0, 0
    for name, value in theirs.items():
        if value.is_floating_point() and name in mine and mine[name].shape == value.shape:
            scale = float(value.abs().max()) or 1.0
            apart += int(((mine[name].cpu() - value).abs() > 1e-4 * scale).sum())
            total += value.numel()
    return apart / max(total, 1)


def scores(device: torch.device, only: Sequence[str] | None) -> Iterator[str]:
    """A row for each metric, or those of ``only``; yields what failed."""
    print(f"\n| {'metric':18} | scores differ by |\n|---|---:|")
    load = checkpoints.load
    for name in metric_case.HEADS:
        if name not in (only or (name,)):
            continue
        found = []
        try:
            for where in (device, torch.device("cpu")):
                checkpoints.load = lambda *a, where=where, **k: _on(load(*a, **k), where)
                with tempfile.TemporaryDirectory() as folder:
                    found.append(metric_case.scored(name, Path(folder)))
            row = f"{_apart(*found):16.1e}"
        except Exception as error:  # what goes wrong is the result
            row = f"FAILED {error!r:.120}"
            yield name
        finally:
            checkpoints.load = load
        print(f"| {name:18} | {row} |", flush=True)


def _apart(one: pd.DataFrame, other: pd.DataFrame) -> float:
    numbers = other.select_dtypes(np.number).columns
    return float(np.nanmax([np.nanmax(np.abs(one[each] - other[each]), initial=0.0) for each in numbers]))


def speeds(device: torch.device) -> None:
    """Items a second of CrowS-Pairs, batched and one by one, and the share of the rate of matrix products."""
    print("\n| model | precision | items/s | one by one | ratio | share of the rate |\n|---|---|---:|---:|---:|---:|")
    metric = registry.load("metrics", "crows_pairs")
    for head, config in SIZES.items():
        for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            with tempfile.TemporaryDirectory() as folder:
                data = {"items": [_pairs(Path(folder))]}
                cp = _random(head, config, Path(folder), precision, device)
                work = _counted(cp, partial(metric.score, Scoring(cp, data), metric.Settings()))
                items, seconds, flops = work
                slow_items, slow_seconds = _one_by_one(cp, data, metric)
            share = flops / seconds / _rate(dtype, device)
            ratio = items / seconds / (slow_items / slow_seconds)
            speed = f"{items / seconds:.0f} | {slow_items / slow_seconds:.1f} | {ratio:.1f}"
            print(f"| {head} | {precision} | {speed} | {share:.0%} |", flush=True)


def _random(head: str, config: Any, folder: Path, precision: str, device: torch.device) -> Checkpoint:
    make = tiny.tiny_roberta if head == "masked_lm" else tiny.tiny_llama
    sizes = {key: getattr(config, key) for key in _WANTED if hasattr(config, key)} | {"initializer_range": 0.02}
    cp = checkpoints.load(make(head, folder / "model", **sizes), precision=precision)
    return _on(cp, device)


_WANTED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


def _pairs(folder: Path) -> Path:
    """As many pairs as CrowS-Pairs has, of about as many tokens."""
    words = [word for text in tiny.SENTENCES for word in text.rstrip(".").split()]
    rng = np.random.default_rng(0)
    lines = ["sent_more,sent_less,stereo_antistereo,bias_type"]
    for _ in range(PAIRS):
        text = list(rng.choice(words, size=int(rng.integers(8, 20))))
        other = list(text)
        other[int(rng.integers(len(text)))] = str(rng.choice(words))
        lines.append(f'"{" ".join(text)}.","{" ".join(other)}!",stereo,gender')
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _counted(cp: Checkpoint, call: Callable[[], Any]) -> tuple[int, float, float]:
    """Rows, seconds, and floating-point operations of the linear layers that ran."""
    flops = [0.0]

    def count(module: torch.nn.Module, args: Any, _out: Any) -> None:
        flops[0] += 2.0 * args[0].numel() * module.out_features

    linears = [each for each in cp.model.modules() if isinstance(each, torch.nn.Linear)]
    call()  # warms up
    handles = [each.register_forward_hook(count) for each in linears]
    call()
    for each in handles:
        each.remove()
    torch.cuda.synchronize()
    began = time.perf_counter()
    rows = len(call())
    torch.cuda.synchronize()
    return rows, time.perf_counter() - began, flops[0]


def _one_by_one(cp: Checkpoint, data: dict[str, list[Path]], metric: Any) -> tuple[int, float]:
    before = dict(batching.TOKENS_PER_BATCH)
    batching.TOKENS_PER_BATCH.update(dict.fromkeys(before, 1))
    try:
        began = time.perf_counter()
        rows = len(metric.score(Scoring(cp, data), metric.Settings(sample=FEW)))
        torch.cuda.synchronize()
        return rows, time.perf_counter() - began
    finally:
        batching.TOKENS_PER_BATCH.update(before)


def _rate(dtype: torch.dtype, device: torch.device, size: int = 4096, runs: int = 20) -> float:
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    a @ b
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(runs):
        a @ b
    torch.cuda.synchronize()
    return 2 * size**3 * runs / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
