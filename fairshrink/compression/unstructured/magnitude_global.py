"""Magnitude pruning over all chosen layers together: the weights nearest to zero become zero, wherever they are.

Of the N weights in scope the round(sparsity x N) smallest |w| are removed under one threshold, so layers with small
weights become sparser than others. Equal magnitudes go by position: first layers first. (Weights stored in bfloat16
have many equal magnitudes; the rule then decides over at most about half a per cent of the weights.)

Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015; one
threshold for all layers as in Frankle and Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019.

Limits: one shot, no training follows; matrices stay dense in memory, so nothing becomes faster. Whole matrices can
vanish at high sparsity where layers differ in scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.compression._shared.settings import ScopedSparsitySettings

if TYPE_CHECKING:
    from fairshrink.compression._shared.context import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(ScopedSparsitySettings):
    """Settings of global magnitude pruning."""


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place."""
    from fairshrink.compression._shared.pruning import prune

    return prune(cp, settings.sparsity, settings.scope)
