"""Settings that several methods share; free of torch, since the study's validator reads them."""

from __future__ import annotations

from pydantic import Field

from fairshrink.contracts import Scope
from fairshrink.settings import Settings

SCOPE = (
    "which linear layers: all in the blocks (encoder), their query, key and value (attention), feed_forward, or all "
    "with those of the head; never embeddings, a decoder tied to them, or normalization"
)


class SparsitySettings(Settings):
    """How many weights are removed."""

    sparsity: float = Field(ge=0, lt=1, description="share of the weights in scope that become zero")


class ScopedSparsitySettings(SparsitySettings):
    """How many weights are removed, and from which layers."""

    scope: Scope = Field("encoder", description=SCOPE)
