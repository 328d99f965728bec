"""Magnitude pruning, layer by layer: in each chosen matrix the weights nearest to zero become zero.

All layers become equally sparse, whatever their scale. Ties are broken by position, the first ones being removed.

Formula:
    in each matrix of n entries:  w ← 0 for the round(sparsity × n) smallest |w|
Paper: Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same.
Limits: One-shot: no training follows. It looks at weights alone: a small weight on a large input counts as unimportant.
Use:
    - {method: magnitude_layerwise, sparsity: [0.4, 0.8]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import ScopedSparsitySettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(ScopedSparsitySettings):
    """Settings of layer-wise magnitude pruning."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune_each

    return prune_each(cp, settings.sparsity, settings.scope)
