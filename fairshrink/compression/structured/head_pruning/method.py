"""Attention head pruning: the attention heads that matter least to the task are removed.

Query, key, value and output matrices become smaller. A head's importance says how much the task's loss would change, to
first order, if the head's output were scaled. By default each layer's importances are divided by their l2 norm. Where
query heads share keys and values (grouped-query attention), the unit that is removed is a key and value head with its
query heads. Each layer keeps at least one unit. Give exactly one of

- `sparsity`: the share of all heads that are removed, those of least importance, all at once (Michel et al. 2019);
- `keep_score`: remove heads step by step, `step` of all heads at a time, recomputing importances, until the score on
  development examples falls below `keep_score` times the baseline's; the last model that passed is kept (Prasanna et
  al. 2020). The score is accuracy, Pearson correlation, or for language models geometric mean probability per token.
  The task needs a `dev_share`.

Formula:
    importance(h) = mean over examples x of |∂L(x)/∂ξ_h|  at ξ_h = 1, where ξ_h multiplies the output of head h
Paper: Michel, Levy and Neubig, *Are Sixteen Heads Really Better than One?*, NeurIPS 2019; Prasanna, Rogers and
    Rumshisky, *When BERT Plays the Lottery, All Tickets Are Winning*, EMNLP 2020.
Deviations: Prasanna et al. mask feed-forward layers too; here they stay.
Cost: Forward and backward passes over `items` training examples; with `keep_score` in each step, and a scoring of the
    development examples. No training follows.
Saves: Disk, memory and latency: fewer parameters and less arithmetic.
Limits: First-order and one head at a time, so heads that replace each other are underrated. `sparsity` counts heads,
    not weights: compare with other methods by the ledger.
Use:
    - {method: head_pruning, sparsity: [0.25, 0.5], items: 128}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from fairshrink.contracts import Part
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame

    from fairshrink.contracts import Context
    from fairshrink.data.examples import Task
    from fairshrink.models.checkpoint import Checkpoint
    from fairshrink.training.fit import Loss

NEEDS_TASK = True
REMOVES: Part = "heads"


class Settings(BaseSettings):
    """Settings of attention head pruning; exactly one of `sparsity` and `keep_score`."""

    sparsity: float | None = Field(None, ge=0, lt=1, description="share of all heads that are removed")
    keep_score: float | None = Field(
        None,
        gt=0,
        le=1,
        description="remove heads while the development score is at least this share of the baseline's",
    )
    step: float = Field(0.1, gt=0, lt=1, description="with `keep_score`: share of all heads removed at a time")
    items: int = Field(512, ge=1, description="training examples that importance is computed on, drawn by the split")
    dev_items: int = Field(
        2000, ge=1, description="with `keep_score`: at most this many development examples are scored"
    )
    layer_normalized: bool = Field(True, description="divide importances by the l2 norm of their layer")

    @model_validator(mode="after")
    def _one_criterion(self) -> Settings:
        if (self.sparsity is None) == (self.keep_score is None):
            raise ValueError("write exactly one of `sparsity` and `keep_score`")
        return self


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Remove heads in place; UserError if that many cannot be removed or there are no development examples."""
    import numpy as np

    from fairshrink.compression._shared.heads import all_of, keep, number_of, without_least
    from fairshrink.compression.structured.head_pruning.task_loss import task_loss
    from fairshrink.data.examples import frames

    alive = all_of(cp.model)
    number = number_of(settings.sparsity or 0.0, alive)
    task = context.task_with_examples("head_pruning")
    tables = frames(task)
    loss = task_loss(cp, task, tables["train"].head(settings.items))
    if settings.sparsity is not None:
        left = without_least(_scores(cp, loss, alive, settings, context), alive, number) if number else alive
    else:
        left = _while_score_is_kept(cp, loss, alive, tables["dev"].head(settings.dev_items), task, settings, context)
    context.log(f"head_pruning: {sum(map(np.sum, left))} of {sum(map(len, left))} kept")
    return keep(cp, left)


def _scores(
    cp: Checkpoint, loss: Loss, alive: list[np.ndarray], settings: Settings, context: Context
) -> list[np.ndarray]:
    from fairshrink.compression._shared.heads import layer_normalized
    from fairshrink.compression.structured.head_pruning.gates import importance

    scores = importance(cp, loss, alive, context.seed)
    return layer_normalized(scores) if settings.layer_normalized else scores


def _while_score_is_kept(
    cp: Checkpoint,
    loss: Loss,
    alive: list[np.ndarray],
    dev: DataFrame,
    task: Task,
    settings: Settings,
    context: Context,
) -> list[np.ndarray]:
    import torch

    from fairshrink.compression._shared.heads import removable, without_least
    from fairshrink.compression.structured.head_pruning.development_score import dev_score
    from fairshrink.compression.structured.head_pruning.gates import gated
    from fairshrink.errors import UserError

    baseline = dev_score(cp, dev, task)
    if not baseline > 0:
        raise UserError(
            f"head_pruning: the baseline's development score is {baseline:.3g}; `keep_score` needs one above 0"
        )
    step = max(1, round(settings.step * sum(map(len, alive))))
    while removable(alive):
        scores = _scores(cp, loss, alive, settings, context)
        fewer = without_least(scores, alive, min(step, removable(alive)))
        with gated(cp.model, [torch.tensor(each, dtype=torch.float32, device=cp.device) for each in fewer]):
            score = dev_score(cp, dev, task)
        left, total = sum(int(each.sum()) for each in fewer), sum(map(len, fewer))
        context.log(f"head_pruning: {left}/{total} left, development score {score:.4f} (baseline {baseline:.4f})")
        if not score >= (settings.keep_score or 0.0) * baseline:
            break
        alive = fewer
    return alive
