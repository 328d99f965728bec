"""The data files that come with fairshrink."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def stimuli(name: str) -> dict[str, Any]:
    """A JSON file of ``fairshrink/stimuli/``, read once; not to be changed by the caller."""
    return json.loads((Path(__file__).parent / "stimuli" / name).read_text(encoding="utf-8"))
