"""Models that a method puts in the place of a baseline: checkpoints that others have compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Brought:
    """A model of a download; whether it is fine-tuned where the baseline was, and computed by its own runtime."""

    download: str
    folder: str
    file: str | None
    finetune: bool
    own_runtime: bool = False


@runtime_checkable
class Bringing(Protocol):
    """What a method says besides that puts another model in the place of the baseline."""

    def brings(self, settings: Any, /) -> Brought:
        """Which model."""


def brought(module: object, settings: Any) -> Brought | None:
    """The model that a method with these settings brings; None for methods that bring none."""
    return module.brings(settings) if isinstance(module, Bringing) else None
