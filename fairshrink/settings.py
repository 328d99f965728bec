"""The base of every block of settings in a study."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen block of settings that rejects keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(Settings):
    """The settings of a download's source."""

    @property
    def local(self) -> Path | None:
        """The file or folder of this machine that the download copies; None for what is fetched or generated."""
        return None

    def anchored(self, folder: Path) -> Self:
        """The same settings with paths relative to ``folder``, wherever the workflow is started."""
        return self
