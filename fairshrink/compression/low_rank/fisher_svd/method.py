"""Low rank with the least error where the task's loss is sensitive: singular values are weighed by gradients.

A row's weight is the Fisher information of all weights of an input, estimated by the squared gradients of the loss of
single training examples.

Formula:
    F_ij = mean over examples of (∂L/∂w_ij)²,  d_j = √(Σ_i F_ij) + 10⁻³ × mean,  over the outputs i of input j
    W diag(d) = U S Vᵀ,  W ≈ (U_r √S_r) (√S_r V_rᵀ diag(d)⁻¹)
    parameters_kept p:  r = ⌊p out in / (out + in)⌋
Paper: Hsu et al., *Language model compression with weighted low-rank factorization*, ICLR 2022.
Deviations: A small share of the mean is added to each weight, so that inputs without a gradient can be divided by it.
Cost: A forward and a backward pass for each example, and a decomposition of each matrix. No training.
Saves: Disk, memory and multiplications, in proportion to the parameters; latency too where matrices are large.
Limits: One weight for all outputs of an input, because no decomposition has one for each entry. Causal language models
    that are not trained on a task have a loss too: that of their task's texts.
Use:
    - {method: fisher_svd, parameters_kept: [0.75, 0.5]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression.low_rank._shared.settings import RankSettings, misfits_of_rank
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FITS = True
FORMS = Forms(gives="factored")


class Settings(RankSettings):
    """Settings of low rank that is weighed by gradients."""

    fisher_items: int = Field(128, ge=1, description="training examples whose gradients are taken, drawn by the split")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A rank above that of the matrices of a model with this config.json."""
    return misfits_of_rank(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Decompose in place; UserError for a rank that a matrix does not have, or a task without a loss."""
    from fairshrink.compression.low_rank._shared.decomposing import LowRank
    from fairshrink.compression.low_rank.fisher_svd.information import row_weights
    from fairshrink.data.examples import frames

    found = LowRank(cp, settings)
    task = context.task_with_examples("fisher_svd")
    weights = row_weights(cp, task, frames(task)["train"].head(settings.fisher_items), found.names, context.seed)
    for name in found.names:
        found.replace(name, weights[name])
    return found.checkpoint()
