"""DVC's cache and default remote as stores of objects, queried in batches.

A pointer names a ``.dir`` object: a JSON list of the files of one artifact, each by its MD5. DVC's own classes move
the objects; its commands are not used, because they fill folders file by file (a killed `dvc pull` leaves half a
folder under its final name) and start a process for each call.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote.remote_store import RemoteStore
from fairshrink.remote.repository import opened

BATCH_SIZE = 256
"""Objects per transfer; progress is reported after each."""


def pointer_object(pointer: Path) -> str:
    """The ``.dir`` object that a pointer file names. Raises UserError if the file is not a pointer of a folder."""
    try:
        (out,) = yaml.load(pointer.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["outs"]
        name = str(out["md5"])
        if not re.fullmatch(r"[0-9a-f]{32}\.dir", name):
            raise ValueError("not the pointer of a folder")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{pointer}: not a DVC pointer of one folder ({reason}). If it shows a merge conflict, take either side: "
            "both have the same key (`git checkout --ours FILE`); else restore it from git."
        ) from error
    return name


class Storage:
    """The objects of one DVC repository, in its cache and in its default remote."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self._trees: dict[str, dict[str, str]] = {}

    @cached_property
    def _repo(self) -> Any:
        return opened(self.root)

    @cached_property
    def cache(self) -> Any:
        """DVC's local cache."""
        return self._repo.cache.local

    @cached_property
    def remote(self) -> RemoteStore:
        """The default remote. Raises UnreachableError where there is none."""
        return RemoteStore(self._repo)

    def in_cache(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that exist in the cache.

        DVC write-protects an object after checking it. One that is not protected (its transfer was killed) is checked
        now, and so are all ``.dir`` objects; those whose bytes do not match their name are removed.
        """
        found = set(self.cache.oids_exist(sorted(set(objects))))
        return {each for each in found if not each.endswith(".dir") or self._tree(each) is not None}

    def _tree(self, directory: str) -> dict[str, str] | None:
        """The files of a ``.dir`` object of the cache; None if it is damaged, and then it is removed."""
        if directory not in self._trees:
            content = Path(self.cache.oid_to_path(directory)).read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir" != directory:
                self.drop([directory])
                return None
            self._trees[directory] = {each["relpath"]: each["md5"] for each in json.loads(content)}
        return self._trees[directory]

    def files(self, directory: str) -> dict[str, str]:
        """Relative path → object of each file of a ``.dir`` object that is `in_cache`."""
        return self._tree(directory) or {}

    def in_remote(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that exist in the remote. Raises UnreachableError."""
        wanted = set(objects)
        return self.remote.existing(wanted) if wanted else set()

    def fetch(self, objects: Iterable[str]) -> dict[str, str]:
        """Fetch from the remote what is not in the cache; returns what is not available, with the reason.

        Bytes are checked. Raises UnreachableError if the remote does not respond; what has arrived stays in the cache.
        """
        wanted = set(objects)
        absent = sorted(wanted - self.in_cache(wanted))
        failed: dict[str, str] = {}
        for report, batch in _batches(absent, "fetched"):
            failed |= self.remote.get(self.cache, batch)
            report()
        return failed

    def missing_in_remote(self, objects: Iterable[str], recheck: Iterable[str] | None = None) -> set[str]:
        """Those of the objects that are not in the remote, or have another size there than in the cache.

        ``recheck`` as for `RemoteStore.existing`. Raises UnreachableError.
        """
        sizes = {each: self.size(each) for each in objects}
        return set(sizes) - self.remote.complete(sizes, recheck) if sizes else set()

    def upload(self, objects: Iterable[str]) -> None:
        """Upload objects of the cache: files before the ``.dir`` objects that list them.

        Raises UnreachableError if the remote rejects them; what has arrived stays there.
        """
        wanted = sorted(set(objects))
        for group in (
            [each for each in wanted if not each.endswith(".dir")],
            [each for each in wanted if each.endswith(".dir")],
        ):
            for report, batch in _batches(group, "uploaded"):
                self.remote.put(self.cache, batch)
                report()

    def damaged(self, objects: Iterable[str]) -> set[str]:
        """Those of some objects of the cache whose bytes do not match their name. Reads them all."""
        from dvc_data.hashfile.hash import file_md5

        return {each for each in objects if file_md5(self.cache.oid_to_path(each)) != each.removesuffix(".dir")}

    def size(self, each: str) -> int | None:
        """Size in bytes of an object of the cache; None if it is not there."""
        path = Path(self.cache.oid_to_path(each))
        return path.stat().st_size if path.is_file() else None

    def drop(self, objects: Iterable[str]) -> None:
        """Remove objects from the cache."""
        for each in objects:
            self._trees.pop(each, None)
            Path(self.cache.oid_to_path(each)).unlink(missing_ok=True)

    def checkout(self, directory: str, folder: Path) -> None:
        """Fill an empty folder with an artifact whose objects are all in the cache, by links as configured in DVC."""
        from dvc.fs import LocalFileSystem
        from dvc_data.hashfile.checkout import checkout
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree = Tree.load(self.cache, HashInfo("md5", directory))
        checkout(os.fspath(folder.resolve()), LocalFileSystem(), tree, self.cache, force=True, quiet=True)


def _batches(objects: list[str], verb: str) -> Iterable[tuple[Any, list[str]]]:
    """Split a transfer into batches; each comes with a function that reports progress."""
    for start in range(0, len(objects), BATCH_SIZE):
        end = min(start + BATCH_SIZE, len(objects))

        def report(end: int = end) -> None:
            if len(objects) > BATCH_SIZE:
                log(f"{verb} {end} of {len(objects)} objects")

        yield report, objects[start:end]
