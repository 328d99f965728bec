"""8-bit weights and activations; activations are rounded at run time, each token with a scale of its own.

Weights symmetric per output channel, activations per token of a layer's input. The sum of integers is exact: on
processors with 8-bit instructions (VNNI) by torch's int8 kernel, elsewhere by float32 products of at most 1024 terms,
which cannot round; both give the same bits. Biases, embeddings, normalization, softmax and whatever is out of scope
stay in floating point.

Formula:
    weights:      s = max|w| / 127 over a row,     q = round(w / s), halves to even
    activations:  t = max|x| / 127 over a token,   p = round(x / t)
    y = (q · p) s t + b
Paper: Zafrir et al., *Q8BERT*, 2019 (8-bit transformer layers, there with training); per-token scales as in Yao et al.,
    *ZeroQuant*, NeurIPS 2022.
Deviations: Unlike torch's own dynamic quantization the scale is per token, not per batch, so a text's result does not
    depend on what else is in its batch.
Cost: A pass over the weights: seconds. No calibration data are needed.
Saves: Disk and memory: about a quarter of float32, half of bfloat16, for the layers in scope. Latency depends
    on the processor's 8-bit instructions: `measurements.parquet` has the latency on the machine at hand.
Limits: A few very large activations cost the rest of their token its precision.
Use:
    - {method: int8_dynamic}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE, Scope
from fairshrink.contracts import Forms
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.contracts import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False
FORMS = Forms(gives="packed")


class Settings(BaseSettings):
    """Settings of 8-bit weights and activations."""

    scope: Scope = Field("encoder", description=SCOPE)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place."""
    from fairshrink.compression.quantization._shared.int8 import to_int8

    return to_int8(cp, settings.scope, activations="dynamic")
