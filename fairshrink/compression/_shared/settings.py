"""Settings that several methods share; without torch, because validating a study imports them."""

from __future__ import annotations

from pydantic import Field

from fairshrink.contracts import Scope
from fairshrink.settings import Settings

SCOPE = (
    "which linear layers: all in the blocks (encoder), their query, key and value (attention), feed_forward, or all "
    "including those of the task head; never embeddings, a decoder tied to them, or normalization"
)


class SparsitySettings(Settings):
    """How many weights are removed."""

    sparsity: float = Field(ge=0, lt=1, description="share of the weights in scope that become zero")


class ScopedSparsitySettings(SparsitySettings):
    """How many weights are removed, and from which layers."""

    scope: Scope = Field("encoder", description=SCOPE)


class CalibratedSettings(Settings):
    """Texts that a method runs through the model to see the inputs of its layers: training examples of the task."""

    calibration_items: int = Field(
        128,
        ge=1,
        description="training examples of the task whose inputs to each layer are looked at, drawn by the split",
    )
    calibration_length: int = Field(
        128,
        ge=2,
        description="tokens of such an example; longer ones are truncated, as they are by the task's own limit",
    )
