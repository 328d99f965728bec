"""8-bit weights: each row of a weight matrix is rounded to 255 levels, activations stay in floating point.

Per output channel, symmetric: scale s = max|w| / 127, code q = round(w / s) (halves to even), stored as int8 with one
float32 scale per row. At run time y = (q · x) s + b in the arithmetic of the activations. Biases, embeddings,
normalization and whatever is out of scope keep their type. The largest error of a weight is s / 2.

Round to nearest, for example Krishnamoorthi, *Quantizing deep convolutional networks for efficient inference*, 2018,
and the weight half of Dettmers et al., *LLM.int8()*, NeurIPS 2022.

Limits: smaller on disk and in memory, seldom faster: codes are turned into floats at each use.
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
    """Settings of 8-bit weights."""

    scope: Scope = Field("encoder", description=SCOPE)


def compress(cp: Checkpoint, settings: Settings, context: Context) -> Checkpoint:
    """Quantize in place."""
    from fairshrink.compression.quantization._shared.int8 import to_int8

    return to_int8(cp, settings.scope, activations="none")
