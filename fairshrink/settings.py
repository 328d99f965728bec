"""The base of every block of settings in a study."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen block of settings that rejects keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
