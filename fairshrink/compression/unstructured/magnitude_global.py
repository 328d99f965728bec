"""Magnitude pruning over all chosen layers together: the weights nearest to zero become zero, wherever they are.

One threshold holds for all of them, so layers with small weights become sparser than others. Ties are broken by
position, the first ones being removed. (Weights stored in bfloat16 have many equal magnitudes; the rule then decides
over at most about half a per cent of the weights.)

Formula:
    w ← 0 for the round(sparsity × N) smallest |w| of the N weights in scope
Paper: Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015;
    one threshold for all layers as in Frankle and Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same.
Limits: One-shot: no training follows. Whole matrices can vanish at high sparsity where layers differ in scale.
Use:
    - {method: magnitude_global, sparsity: [0.4, 0.8]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import ScopedSparsitySettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(ScopedSparsitySettings):
    """Settings of global magnitude pruning."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune

    return prune(cp, settings.sparsity, settings.scope)
