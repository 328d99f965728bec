"""Control: random attention head pruning, which removes a random set of heads.

Query, key, value and output matrices become smaller, exactly as with `head_pruning`. It counts as a control and not as
a compression: an effect of choosing heads by importance has to exceed that of removing random ones. If query heads
share keys and values, the unit is a key and value head with its query heads. Each layer keeps at least one unit.
Sparsities are independent draws, even with one seed.

Formula:
    round(sparsity × N) of the N heads are removed, in a random order that skips the last one of each layer
Paper: Random subnetworks as the comparison for chosen ones: Prasanna, Rogers and Rumshisky, *When BERT Plays the
    Lottery, All Tickets Are Winning*, EMNLP 2020.
Cost: Seconds. No data, no training.
Saves: As head pruning: disk, memory and latency.
Limits: Usually more damage than head pruning of the same `sparsity`: compare at equal damage, by `fidelity`.
Use:
    - {method: random_heads, sparsity: [0.25, 0.5], control_seed: [0, 1, 2]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression.controls._shared.seeds import SeededSettings
from fairshrink.contracts import ALL_HEADS, Part, TaskHead

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
REMOVES: Part = "heads"
STORED = False
HEADS: tuple[TaskHead, ...] = ALL_HEADS
OUTPUTS_ONLY = False


class Settings(SeededSettings):
    """Settings of random head removal."""

    sparsity: float = Field(ge=0, lt=1, description="share of all heads that are removed")


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Remove heads in place; UserError if so many cannot go."""
    import numpy as np

    from fairshrink.compression._shared.heads import all_of, keep, number_of, without_least
    from fairshrink.compression.controls._shared.seeds import combined

    generator = np.random.default_rng(combined(context.seed, settings.control_seed, settings.sparsity))
    alive = all_of(cp.model)
    scores = [generator.random(len(each)) for each in alive]
    return keep(cp, without_least(scores, alive, number_of(settings.sparsity, alive)))
