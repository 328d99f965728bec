"""The product of states with the matrix of a vocabulary, a part of the vocabulary after the other.

On a CPU some hundred states times all of a vocabulary run far below the rate of matrix products, times a thousand words
at a time near it: 60 and 79 GFLOP/s for 256 states of width 384 and 30,522 words.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TypeGuard

import torch

WORDS = 1024
"""The words of a part; 512 and 2,048 are as fast."""


@contextlib.contextmanager
def in_parts(output: torch.nn.Module | None) -> Iterator[None]:
    """An output layer with dense float32 weights on a CPU multiplies so, where no gradients are asked for."""
    if not dense(output):
        yield
        return
    output.forward = functools.partial(_multiplied, output)
    try:
        yield
    finally:
        del output.forward


def _multiplied(output: torch.nn.Linear, states: torch.Tensor) -> torch.Tensor:
    rows = states.flatten(0, -2)
    logits = rows.new_empty((len(rows), len(output.weight)))
    for start in range(0, len(output.weight), WORDS):
        words = slice(start, start + WORDS)
        multiply(output, rows, words, logits[:, words])
    return logits.unflatten(0, states.shape[:-1])


def multiply(output: torch.nn.Linear, rows: torch.Tensor, words: slice, into: torch.Tensor) -> torch.Tensor:
    """Logits ``[rows, words]`` that the layer gives these words, written where they belong."""
    weights = output.weight[words].t()
    if output.bias is None:
        return torch.mm(rows, weights, out=into)
    return torch.addmm(output.bias[words], rows, weights, out=into)


def dense(output: torch.nn.Module | None) -> TypeGuard[torch.nn.Linear]:
    """Whether a layer has dense float32 weights on a CPU, and neither gradients nor another precision is asked for."""
    if not isinstance(output, torch.nn.Linear) or type(output) is not torch.nn.Linear:
        return False
    cpu = output.weight.dtype == torch.float32 and output.weight.device.type == "cpu"
    return cpu and not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
