"""Magnitude pruning, layer by layer: in each chosen matrix the weights nearest to zero become zero.

From each weight matrix with n entries the round(sparsity x n) smallest |w| are removed, so all layers are equally
sparse, whatever their scale. Equal magnitudes go by position, the first ones first.

Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015.

Limits: one shot, no training follows; matrices stay dense in memory, so nothing becomes faster. It looks at weights
alone: a small weight on a large input counts as unimportant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import ScopedSparsitySettings

if TYPE_CHECKING:
    from fairshrink.compression._shared.context import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(ScopedSparsitySettings):
    """Settings of layer-wise magnitude pruning."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune_each

    return prune_each(cp, settings.sparsity, settings.scope)
