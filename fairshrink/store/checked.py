"""Inputs are compared with their records before anything is made from them.

Sizes and times of modification always; bytes where these differ from what they were when the bytes were last compared,
in this clone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fairshrink.errors import UserError
from fairshrink.store import artifacts
from fairshrink.store.layout import MARKER

COMPARED = Path(".snakemake/fairshrink/compared")
"""Folder with a file for each artifact whose bytes were those of its record: sizes and times of its files then."""


def require(folder: Path, root: Path = Path()) -> None:
    """UserError if the artifact at ``folder`` is not what its record says, or its record not that of its name."""
    note = root / COMPARED / f"{hashlib.sha256(folder.as_posix().encode()).hexdigest()[:24]}.json"
    now = _stamps(root / folder)
    if now is not None and _noted(note) == now:
        return
    wrong = artifacts.faults(root / folder, folder.name)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserError(
            f"{folder}: {wrong[0]}{more}, so nothing is made from it. `make verify` puts it aside; then run again."
        )
    artifacts.write_json(note, now)


def as_recorded(folder: Path) -> None:
    """UserError where files of an artifact, wherever it is and is called, are not those of the record in it.

    A folder without a record has nothing to be compared with.
    """
    try:
        files = artifacts.listed(json.loads((folder / MARKER).read_bytes()))
    except (OSError, ValueError):
        return
    found = artifacts.file_digests(folder)
    wrong = [name for name in files if found.get(name) != files[name]]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserError(
            f"{folder}: {wrong[0]}: not the recorded bytes{more}; `make verify` puts it aside, then run again"
        )


def _stamps(folder: Path) -> dict[str, list[int]] | None:
    """Size and time of modification of the record and of each file that it names; None where one is missing."""
    try:
        names = [MARKER, *artifacts.listed(json.loads((folder / MARKER).read_bytes()))]
        found = {name: (folder / name).stat() for name in names}
    except (OSError, ValueError):
        return None
    return {name: [each.st_size, each.st_mtime_ns] for name, each in found.items()}


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
