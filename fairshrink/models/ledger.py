"""What a compression did to size and cost, counted the same way for every method.

Counted (`ledger`, the same on every machine):

- `params`: stored parameters, shared ones once; an 8-bit weight counts as one, its scales do not count;
- `prunable_params`: of these, the weights of the linear layers in the blocks (scope "encoder"), without biases;
- `zero_fraction_prunable`, `zero_fraction_total`: share of zeros among them. Removed weights do not count as zeros;
- `effective_bits`: bits of the prunable weights in compressed form / number of prunable weights of the *baseline*, so
  that zeros, fewer bits and removed heads all lower it;
- `bytes`: all tensors as they are stored, that is the size of the file without its header;
- `flops_per_token`: 2 x multiply-adds of the linear layers of the blocks and of a language-model head. Zeros are not
  skipped, since dense kernels do not skip them; layers that are used several times (ALBERT) count each time. Not
  counted: attention's own products (they grow with the length of the text), embeddings, normalization, and what is
  applied once per text: task heads, projections of relative positions;
- `cache_bytes_per_token`: of causal language models, the keys and values that a cache keeps of each token: numbers of
  the checkpoint's stored type, or of the few bits of `kv_cache` with their levels; 0 for other models.

Compressed form: as it is stored (`models/weights_file.py`), each matrix in the smaller of two lossless forms: dense at
its stored type, or one bit per entry plus the non-zero entries; with codes of few bits their scales count too.

A model that was read from the files of its maker (`Checkpoint.made`) counts these: `bytes` are those of all their
tensors, `effective_bits` the bits of its prunable weights there, scales and all. Where its own runtime computes it,
weights are those of its architecture; zeros among them, and bits, are NaN where the file does not tell.

Measured (`measure`, differs from run to run): latency.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import torch

from fairshrink.models.architecture.blocks import blocks, multiply_adds
from fairshrink.models.checkpoint import AsMade, Checkpoint, max_tokens
from fairshrink.models.inference.batching import collate
from fairshrink.models.stored_forms import kv_cache
from fairshrink.models.stored_forms._shared.coded import Coded
from fairshrink.models.weights_file import stored_bits

TEXTS, TOKENS, SEED = 8, 32, 0
MAX_TURNS, MIN_TURNS, ENOUGH_S, MAX_S = 7, 3, 0.5, 2.0
TOKEN_HEADS = ("masked_lm", "causal_lm")
"""Task heads that are applied to every token."""


@dataclass(frozen=True)
class Tensor:
    """A stored tensor: the module it belongs to, its name there, how many entries, how many not zero, bits in the file.

    Entries of packed codes are weights; their bits are those of the file, padding and all.
    ``overhead``: it is needed to decode other entries (a scale) and is not a parameter.
    """

    module: str
    name: str
    size: int
    nonzero: int
    stored_bits: int
    overhead: bool


def ledger(cp: Checkpoint, baseline_cp: Checkpoint) -> dict[str, int | float]:
    """The counts of a checkpoint, as defined above; `effective_bits` is relative to the baseline."""
    everything = stored(cp)
    prunable = _prunable(cp, everything)
    baseline_weights = _parameters(_prunable(baseline_cp, stored(baseline_cp)))
    bits = cp.made.prunable_bits if cp.made else sum(each.stored_bits for each in prunable)
    return {
        **(_as_made(cp.made) or _as_stored(everything, prunable)),
        "effective_bits": math.nan if bits is None else bits / baseline_weights,
        "bytes": cp.made.bytes if cp.made else sum(each.stored_bits for each in everything) // 8,
        "flops_per_token": 2 * multiply_adds(cp.model, outside=cp.head in TOKEN_HEADS),
        "cache_bytes_per_token": cache_bytes(cp),
    }


def _as_stored(everything: list[Tensor], prunable: list[Tensor]) -> dict[str, int | float]:
    return {
        "params": _parameters(everything),
        "prunable_params": _parameters(prunable),
        "zero_fraction_prunable": _zero_fraction(prunable),
        "zero_fraction_total": _zero_fraction(everything),
    }


def _as_made(made: AsMade | None) -> dict[str, int | float] | None:
    """The same of a model without weights of its own; None for any other."""
    if made is None or made.params is None or made.prunable_params is None:
        return None
    return {
        "params": made.params,
        "prunable_params": made.prunable_params,
        "zero_fraction_prunable": math.nan
        if made.prunable_zeros is None
        else made.prunable_zeros / made.prunable_params,
        "zero_fraction_total": math.nan if made.zeros is None else made.zeros / made.params,
    }


def cache_bytes(cp: Checkpoint) -> int:
    """Bytes of a token's keys and values in all layers, as defined above."""
    if cp.head != "causal_lm":
        return 0
    number = getattr(torch, cp.dtype).itemsize * 8
    return -(-kv_cache.bits_per_token(cp.model, cp.structure.get("kv_cache"), number) // 8)


def stored(cp: Checkpoint) -> list[Tensor]:
    """The tensors that ``checkpoint.save`` writes."""
    parameters = {name for name, _ in cp.model.named_parameters(remove_duplicate=False)}
    stored_type = getattr(torch, cp.dtype)
    found: dict[int, Tensor] = {}
    for full_name, value in cp.model.state_dict().items():
        if value.data_ptr() in found:
            continue
        module, _, name = full_name.rpartition(".")
        owner = cp.model.get_submodule(module)
        as_stored = stored_type if full_name in parameters and value.is_floating_point() else value.dtype
        size, nonzero = _packed(owner, name) or (value.numel(), int(torch.count_nonzero(value)))
        bits = stored_bits(tuple(value.shape), int(torch.count_nonzero(value)), as_stored.itemsize * 8)
        found[value.data_ptr()] = Tensor(module, name, size, nonzero, bits, name in getattr(owner, "overhead", ()))
    return list(found.values())


def _packed(owner: torch.nn.Module, name: str) -> tuple[int, int] | None:
    """How many weights, and how many that are not zero, are packed in a tensor; None if its entries are the weights."""
    return owner.counts().get(name) if isinstance(owner, Coded) else None


def measure(cp: Checkpoint, baseline_cp: Checkpoint) -> dict[str, float]:
    """Median time of a forward pass of 8 texts of 32 tokens, alternating with the baseline in this process.

    ``latency_ms``, ``baseline_latency_ms``, ``latency_ratio`` (below 1 is faster), ``disk_bytes`` (as
    `bytes`). There is one turn to warm up and then up to 7; it stops after the third or a later one when
    they have taken half a second, and earlier only when they have taken two seconds.
    """
    times: tuple[list[float], list[float]] = ([], [])
    checkpoints = [cp, baseline_cp] if cp is not baseline_cp else [cp]
    began = 0.0
    for turn in range(MAX_TURNS + 1):
        for each, measured in zip(checkpoints, times, strict=False):
            seconds = _forward_seconds(each)
            if turn:
                measured.append(seconds)
        began = began or time.perf_counter()
        if turn and time.perf_counter() - began > (ENOUGH_S if turn >= MIN_TURNS else MAX_S):
            break
    own, other = (statistics.median(each or times[0]) * 1000 for each in times)
    return {
        "latency_ms": own,
        "baseline_latency_ms": other,
        "latency_ratio": own / other,
        "disk_bytes": float(cp.made.bytes if cp.made else sum(each.stored_bits for each in stored(cp)) // 8),
    }


@torch.inference_mode()
def _forward_seconds(cp: Checkpoint) -> float:
    length = min(TOKENS, max_tokens(cp))
    generator = torch.Generator().manual_seed(SEED)
    vocabulary = cp.model.get_input_embeddings().num_embeddings
    texts = torch.randint(vocabulary, (TEXTS, length), generator=generator).tolist()
    inputs = collate(cp, texts)
    _synchronize(cp)
    began = time.perf_counter()
    cp.model(**inputs)
    _synchronize(cp)
    return time.perf_counter() - began


def _synchronize(cp: Checkpoint) -> None:
    if cp.device.type == "cuda":
        torch.cuda.synchronize(cp.device)


def _prunable(cp: Checkpoint, tensors: list[Tensor]) -> list[Tensor]:
    inside = {name for block in blocks(cp.model) for name in block.linears}
    return [each for each in tensors if each.module in inside and each.name != "bias"]


def _parameters(tensors: list[Tensor]) -> int:
    return sum(each.size for each in tensors if not each.overhead)


def _zero_fraction(tensors: list[Tensor]) -> float:
    zeros = sum(each.size - each.nonzero for each in tensors if not each.overhead)
    return zeros / _parameters(tensors)
