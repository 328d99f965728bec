"""DVC's cache and default remote as stores of objects, asked in batches.

A pointer names a ``.dir`` object: a JSON list of the files of one artifact, each by its MD5. DVC's own classes move
the objects; its commands are not used, because they fill folders file by file (a killed `dvc pull` leaves half a
folder under its final name) and take a process for each call.
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

AT_ONCE = 256
"""Objects in one transfer between two lines of progress."""


def pointer_object(pointer: Path) -> str:
    """The ``.dir`` object that a pointer file names. Raises UserError for a file that is no such pointer."""
    try:
        (out,) = yaml.load(pointer.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["outs"]
        name = str(out["md5"])
        if not re.fullmatch(r"[0-9a-f]{32}\.dir", name):
            raise ValueError("not the pointer of a folder")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{pointer}: not a DVC pointer of one folder ({reason}). If it shows a merge conflict, take either side: "
            "both stand for the same key (`git checkout --ours FILE`); else restore it from git."
        ) from error
    return name


class Storage:
    """The objects of one DVC repository, here (cache) and there (default remote)."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self._trees: dict[str, dict[str, str]] = {}

    @cached_property
    def _repo(self) -> Any:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            return Repo(str(self.root))
        except DvcException as error:
            raise UserError(
                f"{self.root.resolve()}: DVC cannot start ({' '.join(str(error).split())}). `dvc init` sets it up; its "
                "settings stand in .dvc/config and .dvc/config.local."
            ) from error

    @cached_property
    def cache(self) -> Any:
        """DVC's local cache."""
        return self._repo.cache.local

    @cached_property
    def remote(self) -> RemoteStore:
        """The default remote. Raises UnreachableError where there is none."""
        return RemoteStore(self._repo)

    def here(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that stand in the cache.

        DVC write-protects an object when it has checked it. One that is not (its transfer was killed) is checked now,
        and so are all ``.dir`` objects; those with other bytes than their name says are removed.
        """
        found = set(self.cache.oids_exist(sorted(set(objects))))
        return {each for each in found if not each.endswith(".dir") or self._tree(each) is not None}

    def _tree(self, directory: str) -> dict[str, str] | None:
        """The files of a ``.dir`` object of the cache; None, and the object is gone, where it is damaged."""
        if directory not in self._trees:
            content = Path(self.cache.oid_to_path(directory)).read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir" != directory:
                self.drop([directory])
                return None
            self._trees[directory] = {each["relpath"]: each["md5"] for each in json.loads(content)}
        return self._trees[directory]

    def files(self, directory: str) -> dict[str, str]:
        """Relative path → object of each file of a ``.dir`` object that is `here`."""
        return self._tree(directory) or {}

    def there(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that stand in the remote. Raises UnreachableError."""
        wanted = set(objects)
        return self.remote.holding(wanted) if wanted else set()

    def bring(self, objects: Iterable[str]) -> dict[str, str]:
        """Fetch from the remote what is not in the cache; what cannot be had, with the reason. Bytes are checked.

        Raises UnreachableError where the remote does not answer, or no longer; what had arrived stays in the cache.
        """
        wanted = set(objects)
        absent = sorted(wanted - self.here(wanted))
        failed: dict[str, str] = {}
        for done, part in _parts(absent, "fetched"):
            failed |= self.remote.get(self.cache, part)
            done()
        return failed

    def lacking(self, objects: Iterable[str], doubted: Iterable[str] | None = None) -> set[str]:
        """Those of the objects that are not in the remote; for those of the cache: not there in full length.

        ``doubted`` as for `RemoteStore.holding`. Raises UnreachableError.
        """
        sizes = {each: self.size(each) for each in objects}
        return set(sizes) - self.remote.whole(sizes, doubted) if sizes else set()

    def send(self, objects: Iterable[str]) -> None:
        """Upload objects of the cache: files before ``.dir`` objects, so that what a ``.dir`` object lists is there.

        Raises UnreachableError where the remote does not take them; what had arrived stays there.
        """
        wanted = sorted(set(objects))
        for group in (
            [each for each in wanted if not each.endswith(".dir")],
            [each for each in wanted if each.endswith(".dir")],
        ):
            for done, part in _parts(group, "sent"):
                self.remote.put(self.cache, part)
                done()

    def damaged(self, objects: Iterable[str]) -> set[str]:
        """Those of some objects of the cache that have other bytes than their name says. Reads them all."""
        from dvc_data.hashfile.hash import file_md5

        return {each for each in objects if file_md5(self.cache.oid_to_path(each)) != each.removesuffix(".dir")}

    def size(self, each: str) -> int | None:
        """Bytes of an object of the cache; None where it is not there."""
        path = Path(self.cache.oid_to_path(each))
        return path.stat().st_size if path.is_file() else None

    def drop(self, objects: Iterable[str]) -> None:
        """Remove objects from the cache."""
        for each in objects:
            self._trees.pop(each, None)
            Path(self.cache.oid_to_path(each)).unlink(missing_ok=True)

    def place(self, directory: str, folder: Path) -> None:
        """Fill an empty folder with an artifact whose objects all stand in the cache, by links as DVC is set up."""
        from dvc.fs import LocalFileSystem
        from dvc_data.hashfile.checkout import checkout
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree = Tree.load(self.cache, HashInfo("md5", directory))
        checkout(os.fspath(folder.resolve()), LocalFileSystem(), tree, self.cache, force=True, quiet=True)


def _parts(objects: list[str], verb: str) -> Iterable[tuple[Any, list[str]]]:
    """Cut a transfer into parts; each comes with a function that tells how far it is."""
    for start in range(0, len(objects), AT_ONCE):
        end = min(start + AT_ONCE, len(objects))

        def done(end: int = end) -> None:
            if len(objects) > AT_ONCE:
                log(f"{verb} {end} of {len(objects)} objects")

        yield done, objects[start:end]
