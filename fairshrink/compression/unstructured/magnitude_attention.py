"""Magnitude pruning of attention alone: the weights of query, key and value nearest to zero become zero.

Of the N weights of all query, key and value matrices the round(sparsity x N) smallest |w| are removed under one
threshold. **The sparsity is relative to these matrices**, a quarter of the weights of a BERT block: at 0.9 about 77 %
of the blocks' weights are left. Compare it with other methods by the ledger's `zero_fraction_prunable`, not by
`sparsity`.

Magnitudes after Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks*,
NeurIPS 2015.

Limits: one shot, no training follows; matrices stay dense in memory, so nothing becomes faster. The output projection
of the attention is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import SparsitySettings

if TYPE_CHECKING:
    from fairshrink.compression._shared.context import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(SparsitySettings):
    """Settings of magnitude pruning of attention; its scope is query, key and value."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune

    return prune(cp, settings.sparsity, "attention")
