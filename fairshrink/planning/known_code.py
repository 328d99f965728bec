"""What was found out about the package's code, kept for later processes where Python keeps what it has compiled.

A table belongs to one state of all files of the package, so any edit makes another; Python's version counts, because
it is what reads syntax trees. Whatever cannot be read or written is computed again.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fairshrink.contracts import CodeEntry
from fairshrink.planning import package_files
from fairshrink.planning.modules import PACKAGE

Table = dict[str, dict[str, str]]
CODE, LOADS = "code", "loads"
"""Hashes by what they are of; and the names of modules, each with nothing."""
KEPT = 3
"""Tables of a kind of as many states of the package are kept."""


def read(state: str, root: Path = PACKAGE, kind: str = CODE) -> Table:
    """What is kept by `name` of the entries; empty if nothing is for this state of the package."""
    try:
        found = json.loads(_file(state, root, kind).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(state: str, table: Mapping[str, Mapping[str, str]], root: Path = PACKAGE, kind: str = CODE) -> None:
    """Keep a table that was computed from the files in this state; not if they have changed in the meantime."""
    file = _file(state, root, kind)
    with suppress(OSError):
        if package_files.state(root) != state:
            return
        file.parent.mkdir(exist_ok=True)
        temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.part")
        temporary.write_text(json.dumps(table), encoding="utf-8")
        temporary.replace(file)
        kept = sorted(file.parent.glob(f"{kind}-*.json"), key=lambda each: each.stat().st_mtime_ns)
        for each in kept[:-KEPT]:
            each.unlink(missing_ok=True)


def name(entries: tuple[CodeEntry, ...]) -> str:
    """What a table calls some entries."""
    return " ".join(f"{each.module}:{each.name}{'' if each.required else '?'}" for each in entries)


def _file(state: str, root: Path, kind: str) -> Path:
    version = "".join(map(str, sys.version_info[:2]))
    return root / "__pycache__" / f"{kind}-{version}-{state[:24]}.json"
