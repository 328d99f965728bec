"""Head masks ("gates"): factors on the outputs of attention heads, and the gradient of the loss with respect to them.

transformers 5 has no head mask, so a gate multiplies a head's part of the input of the attention's output projection,
where the outputs of all heads are concatenated. A unit is an attention head, or a key and value head with the query
heads that share it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from fairshrink.log import progress
from fairshrink.models.architecture.blocks import Block, blocks
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import batches
from fairshrink.training.fit import Loss

# The same on all devices: if a loss is a mean over a batch's tokens, the batch size affects the result.
TOKENS_PER_BATCH = 4096


@contextlib.contextmanager
def gated(model: torch.nn.Module, gates: Sequence[torch.Tensor]) -> Iterator[None]:
    """A context in which units are multiplied by gates: per layer [units], or [n, units] for n examples of a batch."""
    handles = [
        model.get_submodule(block.output).register_forward_pre_hook(_gate(block, values))
        for block, values in zip(blocks(model), gates, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gate(block: Block, values: torch.Tensor) -> Callable[..., tuple[torch.Tensor, ...]]:
    def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        context = inputs[0]
        units = context.reshape(*context.shape[:-1], block.kv_heads, -1)
        factors = values.reshape(-1, 1, block.kv_heads, 1).to(context.dtype)
        return ((units * factors).reshape(context.shape), *inputs[1:])

    return hook


def importance(cp: Checkpoint, loss: Loss, alive: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Mean over examples of |∂L/∂ξ|, ξ being a unit's gate at 1, for each layer [units] in float64.

    ``alive``: bool [units] for each layer; gates of other units are 0. Every example has its own gates, so one
    backward pass per batch gives each example's gradient. If a loss is a mean over the tokens of a batch (language
    models), an example counts in proportion to its share of them.
    """
    open_gates = [torch.tensor(each, dtype=torch.float32, device=cp.device) for each in alive]
    totals = [np.zeros(len(each)) for each in alive]
    done = 0
    with _gradients_only_for_gates(cp.model), progress("importance of heads", len(loss.lengths), "examples") as show:
        for number, rows in enumerate(batches(loss.lengths, TOKENS_PER_BATCH)):
            gates = [each.repeat(len(rows), 1).requires_grad_() for each in open_gates]
            with gated(cp.model, gates):
                gradients = torch.autograd.grad(loss(rows, seed + number) * len(rows), gates)
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient.abs().double().sum(0).cpu().numpy()
            done += len(rows)
            show(done)
    return [total / len(loss.lengths) for total in totals]


@contextlib.contextmanager
def _gradients_only_for_gates(model: torch.nn.Module) -> Iterator[None]:
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    try:
        for parameter, _ in before:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, learned in before:
            parameter.requires_grad_(learned)
