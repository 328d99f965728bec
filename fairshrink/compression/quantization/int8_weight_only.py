"""8-bit weights: each row of a weight matrix is rounded to 255 levels, activations stay in floating point.

Symmetric, with a scale for each output channel; stored as int8 with one float32 scale per row. Products are computed in
the arithmetic of the activations. Biases, embeddings, normalization and whatever is out of scope keep their type.

Formula:
    s = max|w| / 127 over a row,  q = round(w / s), halves to even          (error of a weight at most s / 2)
    y = (q · x) s + b
Paper: Round to nearest, for example Krishnamoorthi, *Quantizing deep convolutional networks for efficient inference*,
    2018, and the weight half of Dettmers et al., *LLM.int8()*, NeurIPS 2022.
Cost: A pass over the weights: seconds. No data, no training.
Saves: Disk and memory: about a quarter of float32, half of bfloat16, for the layers in scope. Seldom latency: codes
    are turned into floats at each use.
Limits: One large weight makes the step of its whole row coarse. Embeddings keep their size, a large part of a small
    model.
Use:
    - {method: int8_weight_only}
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
    """Settings of 8-bit weights."""

    scope: Scope = Field("encoder", description=SCOPE)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place."""
    from fairshrink.compression.quantization._shared.int8 import to_int8

    return to_int8(cp, settings.scope, activations="none")
