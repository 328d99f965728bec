"""Random pruning: a random set of weights of the chosen linear layers becomes zero.

It is what every other pruning method has to beat, and the reference for how much of an effect on bias is mere damage.
The draw depends on the split's seed and not on the sparsity, so a sparser model's zeros include those of a less sparse
one.

Formula:
    w ← 0 for round(sparsity × N) of the N weights in scope, each such set equally likely
    (weights that were zero before count among them)
Paper: A baseline in Gale, Elsen and Hooker, *The State of Sparsity in Deep Neural Networks*, 2019.
Deviations: Here one draw covers the whole scope.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same.
Limits: One-shot: no training follows.
Use:
    - {method: random, sparsity: [0.4, 0.8]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import ScopedSparsitySettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(ScopedSparsitySettings):
    """Settings of random pruning."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune
    from fairshrink.compression._shared.selection import random_keys

    return prune(cp, settings.sparsity, settings.scope, random_keys(context.seed))
