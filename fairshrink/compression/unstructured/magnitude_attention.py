"""Magnitude pruning of attention alone: the weights of query, key and value nearest to zero become zero.

All query, key and value matrices share one threshold. **The sparsity is relative to these matrices**, a quarter of the
weights of a BERT block: at 0.9 about 77 % of the blocks' weights are left. Compare it with other methods by the
ledger's `zero_fraction_prunable`, not by `sparsity`.

Formula:
    w ← 0 for the round(sparsity × N) smallest |w| of the N weights of all query, key and value matrices
Paper: Magnitudes after Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural
    Networks*, NeurIPS 2015.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same.
Limits: One-shot: no training follows. The output projection of the attention is not touched.
Use:
    - {method: magnitude_attention, sparsity: [0.4, 0.8]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import SparsitySettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(SparsitySettings):
    """Settings of magnitude pruning of attention; its scope is query, key and value."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune

    return prune(cp, settings.sparsity, "attention")
