"""GPTQ: weights are rounded input by input, and those that are not rounded yet make up for the error.

Of all ways to do so the update changes the outputs of a layer least, for the inputs that training examples give it.
Layers are treated in the order in which texts pass through them, with the inputs that the rounded layers before them
give; those of one block see the block as it was. Stored packed like `linear_quantization`.

Formula:
    H = Σ x xᵀ over the calibration tokens + λI,  λ = damping × mean of its diagonal;  U: upper Cholesky factor of H⁻¹
    for each input j in order:  q_j = round(w_j) to the levels of its group,  e = (w_j − q_j) / U_jj,
                                w_k ← w_k − e U_jk for all k > j
    levels: those of `linear_quantization`, of the group's weights as they are when its first input is reached
    act_order: inputs in the order of falling H_jj, levels of the weights as they were, so that groups stay together
Paper: Frantar, Ashkboos, Hoefler and Alistarh, *GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers*, ICLR 2023.
Deviations: They calibrate on general text (C4); here it is training examples of the task, never of its test. Factors
    are computed in float64.
Cost: Two forward passes over `calibration_items` examples; about (n³ + m·n²) / 2 multiply-adds for a layer of n inputs
    and m outputs, of which n³ / 2 once for layers with the same inputs. No training.
Saves: Disk and memory as `int4_weight_only`. Not latency: codes are turned into floats at each use.
Limits: Few calibration tokens determine few directions of the inputs: with fewer than a layer has inputs, the damping
    decides the rest. Embeddings have no inputs and keep their size (chain it with `linear_quantization` before).
Use:
    - {method: gptq, bits: [4, 3], group: 64}
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
    """Settings of GPTQ."""

    damping: float = Field(0.01, gt=0, description="share of the mean of H's diagonal that is added to it")
    act_order: bool = Field(False, description="inputs with the largest values first")


def misfits(settings: Settings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A group that does not divide the rows of a model with this config.json."""
    return misfits_of_group(settings.group, config)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place; UserError without training examples, or where the group does not divide a row."""
    from fairshrink.compression.quantization._shared.packed import calibrated, recorded
    from fairshrink.compression.quantization.gptq.rounding import order_of, rounded
    from fairshrink.models.architecture.linear import matrix
    from fairshrink.models.stored_forms import packed

    levels = packed.Levels(settings.bits, settings.group, settings.symmetric)
    done = {}
    for stage in calibrated(cp, settings, levels, context, "gptq", {"products"}):
        for each in stage:
            order = each.inputs.once(order_of, "products", settings.damping, settings.act_order)
            packed.replace(cp.model, each.name, levels).fill(rounded(matrix(each.layer), order, levels))
            done[each.name] = levels
        context.log(f"gptq: {len(stage)} layers up to {stage[-1].name}")
    return recorded(cp, done)
