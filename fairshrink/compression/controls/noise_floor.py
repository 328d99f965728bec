"""Control: the numeric noise floor, the same weights computed with other batches and another number of threads.

Nothing is compressed and no weight is changed. Sums in another order differ in their last digits, and where a metric
compares two values that are almost equal, an item may change sides. A compression that flips no more items than this
has flipped none.

Formula:
    the baseline itself, with `batch_share` of the usual tokens in a batch, and two threads where the job has one, else
    one
Paper: None: a control of this project. That flips have to be compared with those of the same model: Dutta et al.,
    *Accuracy is Not All You Need*, NeurIPS 2024.
Cost: Nothing besides scoring.
Saves: Nothing.
Limits: Batches and threads of this machine only: another machine, another version of the libraries or another precision
    differ by more.
Use:
    - {method: noise_floor}
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.contracts import ALL_HEADS, TaskHead
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
STORED = False
HEADS: tuple[TaskHead, ...] = ALL_HEADS
OUTPUTS_ONLY = False


class Settings(BaseSettings):
    """Settings of the noise floor."""

    batch_share: float = Field(0.5, gt=0, lt=1, description="share of the usual tokens in a batch")
    other_threads: bool = Field(True, description="compute with another number of threads as well")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """The same model, to be computed in another way."""
    import torch

    threads = (2 if torch.get_num_threads() == 1 else 1) if settings.other_threads else None
    return dataclasses.replace(cp, path=None, batch_share=settings.batch_share, threads=threads)
