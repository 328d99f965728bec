"""Fine-tuning: AdamW, linear warm-up and decay, batches of similar length, in float32 or bfloat16 autocast.

Signatures::

    plan(loss.lengths, settings, seed) -> list of batches (lists of rows), one for each step of the whole run
    fit(cp, loss, settings, seed, log, *, masks=None, start_step=0, stop_step=None, on_step=None, optimizer=None,
        state=None) -> the optimizer
    tasks.<kind>.loss(cp, frame, settings) -> Loss
    tasks.<kind>.train(cp, frames, settings, seed, log, masks=None, start_step=0, stop_step=None, on_step=None,
        state=None)

What happens in step i (batch, dropout, masked tokens, learning rate) is a function of (seed, i) alone. So a run that
stops at k and continues from k **with the optimizer that fit returned** equals an uninterrupted one, bit for bit.
Without it (``tasks.<kind>.train``, and so rewinding in iterative magnitude pruning) the moments of AdamW start
from zero at ``start_step``, as Renda et al. (2020) do when they rewind weights and learning-rate schedule.
With a ``state``, weights, moments and k are saved on disk, and a run that was killed resumes from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch

from fairshrink.errors import UserError
from fairshrink.log import left, progress
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.training import termination
from fairshrink.training.settings import TrainingSettings
from fairshrink.training.state import TrainingState

# Shuffled examples are sorted by length within buckets of this many batches.
BUCKET = 32
N_LOG_LINES = 5


@dataclass(frozen=True)
class Loss:
    """The training objective over the examples of a task.

    ``lengths``: tokens of each example. ``mean(rows, generator)``: mean loss over these examples, a scalar tensor
    with gradient; ``generator`` is the source of its randomness (which tokens are masked).
    """

    lengths: list[int]
    mean: Callable[[Sequence[int], torch.Generator], torch.Tensor]

    def __call__(self, rows: Sequence[int], seed: int = 0) -> torch.Tensor:
        """Mean loss over rows."""
        return self.mean(rows, torch.Generator().manual_seed(seed))


def plan(lengths: Sequence[int], settings: TrainingSettings, seed: int) -> list[list[int]]:
    """The rows of each step: every epoch contains each row once, in batches of similar length and random order."""
    steps = []
    for epoch in range(settings.epochs):
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(lengths))
        batches = []
        for bucket in np.split(order, range(BUCKET * settings.batch_size, len(order), BUCKET * settings.batch_size)):
            by_length = sorted(bucket.tolist(), key=lambda row: (lengths[row], row))
            batches += [by_length[i : i + settings.batch_size] for i in range(0, len(bucket), settings.batch_size)]
        steps += [batches[i] for i in generator.permutation(len(batches))]
    return steps


def rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Learning rate of a step, counted from 0: it rises to the peak during warm-up, then falls toward 0."""
    rising = round(settings.warmup * total)
    if step < rising:
        return settings.learning_rate * (step + 1) / rising
    return settings.learning_rate * (total - step) / max(total - rising, 1)


def fit(
    cp: Checkpoint,
    loss: Loss,
    settings: TrainingSettings,
    seed: int,
    log: Callable[[str], None],
    *,
    masks: dict[str, torch.Tensor] | None = None,
    start_step: int = 0,
    stop_step: int | None = None,
    on_step: Callable[[int], None] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    state: TrainingState | None = None,
) -> torch.optim.Optimizer:
    """Train in place from ``start_step`` up to (not including) ``stop_step`` and return the optimizer.

    ``masks``: parameter name -> bool tensor of its shape, False where the weight is held at exactly zero.
    ``on_step(n)`` is called after n steps, first with ``start_step`` before any: use it to take snapshots. Frozen
    parameters do not change; afterwards every parameter requires gradients again.

    UserError where loss or gradient is not finite; the step is not taken.

    ``state`` is for a whole training: the run resumes from the step saved there, which ``on_step`` then gets first, and
    saves its state at intervals. On SIGTERM it finishes the current step, saves its state and raises SystemExit.
    """
    if state and (start_step or stop_step is not None):
        raise ValueError("a training state belongs to a whole training, from the first step to the last")
    steps = plan(loss.lengths, settings, seed)
    stop = len(steps) if stop_step is None else min(stop_step, len(steps))
    every = max(1, -(-len(steps) // N_LOG_LINES))
    trainable = _trainable(cp, settings)
    masked = [(trainable[name], ~mask.to(cp.device)) for name, mask in (masks or {}).items() if name in trainable]
    optimizer = optimizer or _optimizer(trainable, settings)
    if state:
        start_step = state.load(cp.model, optimizer, len(steps))
        if start_step:
            log(f"resuming at step {start_step} of {len(steps)}")
    began, seen, recent = time.monotonic(), 0, []
    cp.model.train()
    _zero(masked)
    if on_step:
        on_step(start_step)
    with (
        torch.random.fork_rng(devices=[cp.device] if cp.device.type == "cuda" else []),
        termination.recorded() if state else nullcontext(lambda: False) as termination_requested,
        progress("training", stop, "steps", lines=False) as show,
    ):
        for step in range(start_step, stop):
            for group in optimizer.param_groups:
                group["lr"] = rate(step, len(steps), settings)
            optimizer.zero_grad()
            value = _backward(cp, loss, steps[step], settings.precision, [seed, step])
            for parameter, removed in masked:
                if parameter.grad is not None:  # the loss need not reach every matrix
                    parameter.grad.masked_fill_(removed, 0.0)  # so that they do not count in the norm for clipping
            norm = torch.nn.utils.clip_grad_norm_(trainable.values(), settings.clip_norm)
            if not torch.isfinite(norm + value):
                _diverged(step, len(steps), value, settings)
            optimizer.step()
            _zero(masked)
            recent.append(value)
            show(step + 1)
            seen += sum(loss.lengths[row] for row in steps[step])
            if (step + 1) % every == 0 or step + 1 == stop:
                seconds = time.monotonic() - began
                mean = torch.stack(recent).mean().item()
                rest = left(step + 1 - start_step, stop - start_step, seconds)
                log(f"step {step + 1}/{len(steps)}  loss {mean:.4f}  {seen / max(seconds, 1e-9):,.0f} tokens/s{rest}")
                recent = []
            ending = termination_requested()
            if state and (ending or state.due()):
                saved = state.save(step + 1, len(steps), cp.model, optimizer)
                if ending:
                    _end(step + 1, len(steps), saved, log)
            if on_step:
                on_step(step + 1)
    for parameter in cp.model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
        parameter.grad = None
    cp.model.eval()
    cp.dtype = "float32"  # updates are smaller than bfloat16 can store
    return optimizer


def _diverged(step: int, total: int, loss: torch.Tensor, settings: TrainingSettings) -> NoReturn:
    """A step with such a gradient would fill the weights with NaN, and tables with numbers that mean nothing."""
    what = "gradient" if torch.isfinite(loss) else "loss"
    raise UserError(
        f"training diverged: the {what} of step {step + 1} of {total} is not finite, at a peak learning rate of "
        f"{settings.learning_rate:g}. Lower the task's `learning_rate` or raise its `warmup`; look for labels that are "
        "far out of range."
    )


def _end(done: int, total: int, saved: bool, log: Callable[[str], None]) -> NoReturn:
    what = "its state is saved" if saved else "its state could not be saved, an earlier one may exist"
    log(f"stopped after step {done} of {total} on request: {what}; run again to resume")
    raise SystemExit(termination.EXIT_STATUS)


def _backward(cp: Checkpoint, loss: Loss, rows: list[int], precision: str, seed: list[int]) -> torch.Tensor:
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    torch.manual_seed(number)
    with torch.autocast(cp.device.type, torch.bfloat16, enabled=precision == "bf16"):
        value = loss(rows, number)
    value.backward()
    return value.detach()


def _trainable(cp: Checkpoint, settings: TrainingSettings) -> dict[str, torch.nn.Parameter]:
    if settings.frozen_embeddings:
        base = cp.model.base_model
        for parameter in getattr(base, "embeddings", base.get_input_embeddings()).parameters():
            parameter.requires_grad_(False)
    return {name: parameter for name, parameter in cp.model.named_parameters() if parameter.requires_grad}


def _optimizer(trainable: dict[str, torch.nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in trainable.values() if parameter.ndim > 1]
    vectors = [parameter for parameter in trainable.values() if parameter.ndim <= 1]  # biases, normalization
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _zero(masked: list[tuple[torch.nn.Parameter, torch.Tensor]]) -> None:
    with torch.no_grad():
        for parameter, removed in masked:
            parameter.masked_fill_(removed, 0.0)
