"""Published results: copies, under plain names, of the tables and figures of the study that was run last.

The artifact ``results/published/<study>-<key>/`` contains them; ``results/tables/`` and ``results/figures/`` are
copies. So going back to another branch or study shows its tables at once, and nothing is recomputed.
"""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from fairshrink.store import artifacts
from fairshrink.store.layout import MARKER

SHOWN = "tables/provenance.json"


def show(published: Path, output: Path) -> bool:
    """Copy the files of a result to ``output`` and remove those of the one shown before; False if it does not exist.

    Files that belong to no result are not touched. The record of what is shown names the files of both results while
    one replaces the other, so that an interrupted call is repeated and leaves nothing of the first.
    """
    if not artifacts.exists(published):
        return False
    record = artifacts.read_provenance(published)
    before = _record(output / SHOWN)
    if before == record and all((output / name).is_file() for name in record["files"]):
        return True
    stale = set(before.get("files", ())) - set(record["files"])
    artifacts.write_json(output / SHOWN, {"files": dict.fromkeys([*stale, *record["files"]])})
    for name in stale:
        (output / name).unlink(missing_ok=True)
    for name in record["files"]:
        _copy(published / name, output / name)
    _copy(published / MARKER, output / SHOWN)
    return True


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        artifacts.listed(record)  # what is removed is named there
    except (OSError, ValueError):
        return {}
    return record


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
    shutil.copyfile(source, temporary)
    temporary.replace(target)
