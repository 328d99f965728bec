"""8-bit weights and activations, with a scale of each layer's activations that is found beforehand.

Weights as with `int8_dynamic`; all inputs of a layer are rounded by one scale, that of the largest input which training
examples give it, and larger ones are clipped. Sums of integers are exact. Blocks are treated in the order in which
texts pass through them, with the inputs that the quantized blocks before them give.

Formula:
    weights:      s = max|w| / 127 over a row,  q = round(w / s), halves to even
    activations:  t = max|x| / 127 over all calibration tokens and inputs of a layer,  p = clamp(round(x / t), ±127)
    y = (q · p) s t + b
Paper: Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*,
    CVPR 2018; largest values as the range: Wu et al., *Integer Quantization for Deep Learning Inference*, 2020.
Cost: Two forward passes over `calibration_items` examples. No training.
Saves: Disk and memory: about a quarter of float32, half of bfloat16, for the layers in scope. Latency depends on the
    processor's 8-bit instructions; no scales are computed while a text is read.
Limits: One large activation in the calibration examples makes the step of all others coarse, and language models have
    such: `int8_dynamic`, with a scale for each token, damages less.
Use:
    - {method: int8_static}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE, CalibratedSettings, Scope
from fairshrink.contracts import Forms

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = True
FORMS = Forms(gives="packed")


class Settings(CalibratedSettings):
    """Settings of 8-bit weights and activations of fixed scale."""

    scope: Scope = Field("encoder", description=SCOPE)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place; UserError without training examples, or where nothing in scope is dense."""
    import dataclasses

    import torch

    from fairshrink.compression._shared.calibration import calibration_texts, walk
    from fairshrink.errors import UserError
    from fairshrink.models.architecture.blocks import linear_names
    from fairshrink.models.architecture.linear import matrix
    from fairshrink.models.stored_forms import int8, int8_static

    names = linear_names(cp.model, settings.scope)
    if not names or "int8_static" in cp.structure:
        raise UserError(f"scope {settings.scope!r}: there is no floating-point linear layer to quantize")
    for stage in walk(cp, calibration_texts(cp, settings, context, "int8_static"), names, {"largest"}):
        for each in stage:
            int8_static.apply(cp.model, {"modules": [each.name]})
            layer, largest = cp.model.get_submodule(each.name), each.inputs["largest"].max().float()
            layer.codes, layer.scales = int8.quantize(matrix(each.layer).float())
            layer.input_scale = torch.where(largest > 0, largest / int8.MAX_CODE, torch.ones_like(largest)).reshape(1)
            layer.bias = each.layer.bias
    cp.model.eval()
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "int8_static": {"modules": names}})
