"""Settings of methods that choose codes of few bits by the inputs of layers; without torch."""

from __future__ import annotations

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE, CalibratedSettings, Scope


class CalibratedBits(CalibratedSettings):
    """Bits, groups and scope of weights whose layers' inputs are looked at; embeddings have no inputs."""

    bits: int = Field(4, ge=2, le=8, description="bits of a weight")
    group: int | None = Field(
        64, ge=8, description="how many neighboring weights of a row share a scale; divides the rows; null: a whole row"
    )
    symmetric: bool = Field(False, description="levels around zero without a zero point")
    scope: Scope = Field("encoder", description=SCOPE)
