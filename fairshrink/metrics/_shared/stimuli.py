"""The data files that come with fairshrink."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def stimuli(name: str) -> dict[str, Any]:
    """A JSON file of the metrics, read once; not to be changed by the caller."""
    return json.loads(next(Path(__file__).parents[1].rglob(name)).read_text(encoding="utf-8"))
