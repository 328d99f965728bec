"""What a local source contained, from the records of those who had it: its files need not be on every machine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairshrink.log import log
from fairshrink.remote import pointers
from fairshrink.remote.remote_store import UnreachableError
from fairshrink.remote.storage import Storage, pointer_object
from fairshrink.store.layout import FOLDERS, MARKER


def pin_of(name: str, root: Path = Path()) -> Mapping[str, Any] | None:
    """The pin of the local source that a study calls ``name``, by its newest record; None if there is none.

    Records are read in the artifacts here, else by pointers: a few kB each, from DVC's cache or remote.
    """
    found = {}
    for path, record in _records(name, root).items():
        params = record.get("parts", {}).get("params", {})
        if params.get("source") == "local" and params.get("pin"):
            found[str(record.get("made", {}).get("finished", "")), path] = params["pin"]
    if not found:
        return None
    newest = max(found)
    if len(found) > 1:
        log(f"downloads.{name} is not here; of {len(found)} recorded versions the newest is used, {newest[1]}")
    pin: Mapping[str, Any] = found[newest]
    return pin


def _records(name: str, root: Path) -> dict[str, dict[str, Any]]:
    """Provenance records by the path of the artifact."""
    called = re.compile(rf"{FOLDERS['download']}/{re.escape(name)}-[0-9a-f]+")
    texts = {
        each.parent.relative_to(root).as_posix(): each
        for each in root.glob(f"{FOLDERS['download']}/*/{MARKER}")
        if called.fullmatch(each.parent.relative_to(root).as_posix())
    }
    lists = {
        path: pointer_object(file)
        for path, file in pointers.recorded(root).items()
        if path not in texts and called.fullmatch(path)
    }
    if lists:
        texts |= _fetched(Storage(root), lists)
    records = {}
    for path, file in texts.items():
        try:
            record = json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict):
            records[path] = record
    return records


def _fetched(storage: Storage, lists: Mapping[str, str]) -> dict[str, Path]:
    """The records of artifacts with these ``.dir`` objects, in the cache; those that cannot be had are left out."""
    try:
        storage.fetch(lists.values())
        storage.fetch(_markers(storage, lists).values())
    except UnreachableError as error:
        log(f"{error}: records of local sources that are not on this machine are read from DVC's cache alone")
    markers = _markers(storage, lists)
    held = storage.in_cache(markers.values())
    return {path: Path(storage.cache.oid_to_path(each)) for path, each in markers.items() if each in held}


def _markers(storage: Storage, lists: Mapping[str, str]) -> dict[str, str]:
    held = storage.in_cache(lists.values())
    files = {path: storage.files(each) for path, each in lists.items() if each in held}
    return {path: each[MARKER] for path, each in files.items() if MARKER in each}
