"""How batches run: which sequences share one, the mode and precision of arithmetic, the number of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.log import progress
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import batches, token_budget


def require_head(cp: Checkpoint, heads: tuple[TaskHead, ...]) -> None:
    """UserError for a model with another task head."""
    if cp.head not in heads:
        raise UserError(f"this needs a model with the task head {' or '.join(heads)}, this one has {cp.head!r}")


def rounds(
    cp: Checkpoint, sequences: Sequence[Sequence[int]], budget: int | None = None, padded: bool = True
) -> Iterator[list[int]]:
    """The numbers of the sequences of each batch; how many are done is shown."""
    done = 0
    with progress("scoring", len(sequences), "texts") as show:
        for rows in batches([len(ids) for ids in sequences], budget or token_budget(cp), padded):
            yield rows
            done += len(rows)
            show(done)


@contextlib.contextmanager
def computing(cp: Checkpoint) -> Iterator[None]:
    """Inference mode with the checkpoint's precision and number of threads."""
    with threads(cp), arithmetic(cp):
        yield


@contextlib.contextmanager
def arithmetic(cp: Checkpoint) -> Iterator[None]:
    """Inference mode with the checkpoint's precision; one autocast context, so that weights are cast once."""
    cp.model.eval()
    bf16 = cp.precision == "bf16"
    with torch.inference_mode(), torch.autocast(cp.device.type, torch.bfloat16, enabled=bf16):
        yield


@contextlib.contextmanager
def threads(cp: Checkpoint) -> Iterator[None]:
    """The checkpoint's own number of threads, if it has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(cp.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
