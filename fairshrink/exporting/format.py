"""What a module in `formats/` offers, and how it is found by its name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from fairshrink.exporting.written import Written
    from fairshrink.models.checkpoint import Checkpoint

FOLDER = Path(__file__).parent / "formats"
DEFAULT = "transformers"


class Format(Protocol):
    """A module ``formats/NAME.py``, or a folder with ``__init__.py``; torch is imported inside its functions."""

    WEIGHTS: tuple[str, ...]
    """Types of weights that can be asked for; the first is taken where none is."""

    def write(self, cp: Checkpoint, folder: Path, weights: str) -> Written:
        """Fill an empty folder and compare what is read back with the checkpoint. UserError where that cannot be."""


def names() -> list[str]:
    """Of all formats, the default first."""
    found = {each.stem for each in FOLDER.iterdir() if each.suffix == ".py" or (each / "__init__.py").is_file()}
    return [DEFAULT, *sorted(name for name in found if name != DEFAULT and not name.startswith("_"))]


def load(name: str) -> Format:
    """The module of a format that there is."""
    return cast(Format, importlib.import_module(f"fairshrink.exporting.formats.{name}"))
