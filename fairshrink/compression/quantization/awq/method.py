"""AWQ: inputs with large values have their weights scaled up before rounding, and so lose less by it.

Each input's weights are multiplied by a power of its mean magnitude, which is divided out again when the layer is
used. The power is searched for each layer: that with the least error of the layer's outputs on training examples. Power
0 is plain rounding, so that a layer is never worse than with it there. Blocks are treated in the order in which texts
pass through them, with the inputs that the rounded blocks before give.

Formula:
    a_j = mean |x_j| over the calibration tokens,  s_j = a_j^α / √(max_k a_k^α · min_k a_k^α)
    w_ij ← round(w_ij s_j) / s_j to the levels of `linear_quantization`;  α = 0, 1/steps, …, 1 with the least
    Σ ‖(W′ − W) x‖²
Paper: Lin et al., *AWQ: Activation-aware Weight Quantization for On-Device LLM Compression and Acceleration*, MLSys
    2024.
Deviations: Factors are each layer's own and stored with it, one float32 for each input, instead of being folded into
    the normalization before; weights are not clipped. Calibrated on training examples of the task, never of its test.
Cost: Two forward passes over `calibration_items` examples, and for each layer and step of the search a rounding and
    about out × in × in / 2 multiply-adds, fewer where a step is soon seen to be worse. No training.
Saves: Disk and memory as `int4_weight_only`, but for the factors. Not latency.
Limits: What `gptq` does by making up for errors this does not, so it is often worse at 3 bits and fewer; it fits the
    calibration examples less.
Use:
    - {method: awq, bits: [4, 3], group: 64}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression._shared.weights import misfits_of_group
from fairshrink.compression.quantization._shared.settings import CalibratedBits
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FORMS = Forms(gives="packed")


class Settings(CalibratedBits):
    """Settings of AWQ."""

    steps: int = Field(20, ge=1, description="how many powers above 0 are tried, evenly spaced up to 1")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A group that does not divide the rows of a model with this config.json."""
    return misfits_of_group(settings.group, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place; UserError without training examples, or where the group does not divide a row."""
    import dataclasses

    from fairshrink.compression.quantization._shared.packed import calibrated, recorded
    from fairshrink.compression.quantization.awq.search import best_factors
    from fairshrink.models.architecture.linear import matrix
    from fairshrink.models.stored_forms import packed

    levels = packed.Levels(settings.bits, settings.group, settings.symmetric)
    done = {}
    for stage in calibrated(cp, settings, levels, context, "awq", {"absolutes", "products"}):
        for each in stage:
            weights = matrix(each.layer).float()
            factors = best_factors(weights, each.inputs, levels, settings.steps)
            mine = levels if factors is None else dataclasses.replace(levels, scaled=True)
            scaled = weights if factors is None else weights * factors
            packed.replace(cp.model, each.name, mine).fill(packed.quantize(scaled, levels), factors)
            done[each.name] = mine
        context.log(f"awq: {len(stage)} layers up to {stage[-1].name}")
    return recorded(cp, done)
