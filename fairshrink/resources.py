"""The data files that are beside the modules that use them: read here alone, so that their bytes count in keys.

Called as ``json_file(__file__, "words.json")``: planning finds these calls (`fairshrink.planning.reading`) and refuses
others, so the name is written out and the file is in the folder of the calling module or below.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


def path(module: str, name: str) -> Path:
    """A data file beside a module (its ``__file__``)."""
    return Path(module).parent / name


@cache
def json_file(module: str, name: str) -> Any:
    """What a JSON file beside a module holds, read once; not to be changed by the caller."""
    return json.loads(path(module, name).read_text(encoding="utf-8"))
