"""8-bit weights and activations; activations are rounded at run time, each token with a scale of its own.

Weights per output channel, symmetric: s = max|w| / 127, q = round(w / s), halves to even. Activations per token x of
a layer's input: t = max|x| / 127, p = round(x / t). Then y = (q · p) s t + b, where q · p is a sum of integers,
exact: on processors with 8-bit instructions (VNNI) by torch's int8 kernel, elsewhere by float32 products of at most
1024 terms, which cannot round; both give the same bits. Biases, embeddings, normalization, softmax and whatever is
out of scope stay in floating point. No calibration data are needed.

Zafrir et al., *Q8BERT*, 2019 (8-bit transformer layers, there with training); per-token scales as in Yao et al.,
*ZeroQuant*, NeurIPS 2022.

Limits: unlike torch's own dynamic quantization the scale is per token, not per batch, so a text's result does not
depend on what else is in its batch. A few very large activations cost the rest of their token its precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE, Scope
from fairshrink.settings import Settings as BaseSettings

if TYPE_CHECKING:
    from fairshrink.compression._shared.context import Context
    from fairshrink.models.checkpoint import Checkpoint

NEEDS_TASK = False


class Settings(BaseSettings):
    """Settings of 8-bit weights and activations."""

    scope: Scope = Field("encoder", description=SCOPE)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place."""
    from fairshrink.compression.quantization._shared.int8 import to_int8

    return to_int8(cp, settings.scope, activations="dynamic")
