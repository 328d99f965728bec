"""Data files next to the modules that use them: they are read only here, so that their bytes count in keys.

Called as ``json_file(__file__, "words.json")``: planning finds these calls (`fairshrink.planning.reading`) and refuses
others, so the name must be a literal and the file must be in the folder of the calling module or below it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


def path(module: str, name: str) -> Path:
    """A data file next to a module (its ``__file__``)."""
    return Path(module).parent / name


@cache
def text_file(module: str, name: str) -> str:
    """The contents of a text file next to a module, read once."""
    return path(module, name).read_text(encoding="utf-8")


@cache
def json_file(module: str, name: str) -> Any:
    """The contents of a JSON file next to a module, read once; callers must not change it."""
    return json.loads(path(module, name).read_text(encoding="utf-8"))
