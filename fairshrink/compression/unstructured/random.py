"""Random pruning: a random set of weights of the chosen linear layers becomes zero.

Of the N weights in scope round(sparsity x N) are zero afterwards, each such set equally likely; weights that were
zero before count among them. It is what every other pruning method has to beat, and the reference for how much of an
effect on bias is mere damage. The draw depends on the split's seed and not on the sparsity, so a sparser model's
zeros include those of a less sparse one.

A baseline in Gale, Elsen and Hooker, *The State of Sparsity in Deep Neural Networks*, 2019. Here one draw covers the
whole scope.

Limits: one shot, no training follows; matrices stay dense in memory, so nothing becomes faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import ScopedSparsitySettings

if TYPE_CHECKING:
    from fairshrink.compression._shared.context import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(ScopedSparsitySettings):
    """Settings of random pruning."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune
    from fairshrink.compression._shared.selection import random_keys

    return prune(cp, settings.sparsity, settings.scope, random_keys(context.seed))
