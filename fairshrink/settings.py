"""The base of every block of settings in a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen block of settings that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(Settings):
    """The settings of a download's source."""

    @property
    def local(self) -> Path | None:
        """The local file or folder that the download copies; None for downloads that are fetched or generated."""
        return None

    @property
    def offered_splits(self) -> Sequence[str] | None:
        """The splits that tables can name, any where it is empty; None for downloads whose tables are files."""
        return None

    @property
    def rows(self) -> int | None:
        """How many rows its one table will have; None where the settings do not say it."""
        return None

    def recalled(self, pin: Mapping[str, Any]) -> Self:
        """The same settings of a local source that is not on this machine, with what it was pinned by elsewhere."""
        return self

    def anchored(self, folder: Path) -> Self:
        """The same settings with paths relative to ``folder``, not to where the workflow is started."""
        return self
