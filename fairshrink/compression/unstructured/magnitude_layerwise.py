"""Magnitude pruning, layer by layer: in each chosen matrix the weights nearest to zero become zero.

All layers become equally sparse, whatever their scale. Ties are broken by position, the first ones being removed.
`pattern: "2:4"` removes 2 of each 4 consecutive inputs of an output.

Formula:
    in each matrix of n entries:  w ← 0 for the round(sparsity × n) smallest |w|
    2:4: in each 4 consecutive inputs of an output the 2 smallest |w|
Paper: Han, Pool, Tran and Dally, *Learning both Weights and Connections for Efficient Neural Networks*, NeurIPS 2015.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk: a matrix with many zeros is stored as one bit for each weight and the weights that are not zero. In memory
    it is dense, and zeros are multiplied like other weights, so memory and latency stay the same.
Limits: One-shot: no training follows. It looks at weights alone: a small weight on a large input counts as unimportant.
Use:
    - {method: magnitude_layerwise, sparsity: [0.4, 0.8]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fairshrink.compression._shared.patterns import PatternSettings, misfits_of_pattern

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(PatternSettings):
    """Settings of layer-wise magnitude pruning."""


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A pattern that does not divide the rows of a model with this config.json."""
    return misfits_of_pattern(settings, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Prune in place; UserError where a pattern does not divide a layer's inputs."""
    from fairshrink.compression._shared.pruning import prune_each, prune_groups

    if settings.pattern != "unstructured":
        return prune_groups(cp, settings.scope, settings.pattern)
    return prune_each(cp, settings.sparsity, settings.scope)
