"""DVC's cache and default remote as stores of objects, asked in batches.

A pointer names a ``.dir`` object: a JSON list of the files of one artefact, each by its MD5. DVC's own classes move
the objects; its commands are not used, because they fill folders file by file (a killed `dvc pull` leaves half a
folder under its final name) and take a process for each call.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from fairshrink.errors import UserError

AT_ONCE = 256
"""Objects in one transfer between two lines of progress."""


class UnreachableError(Exception):
    """The remote does not answer, or there is none; the text says why."""


def pointer_object(pointer: Path) -> str:
    """The ``.dir`` object that a pointer file names. Raises UserError for a file that is no such pointer."""
    try:
        (out,) = yaml.load(pointer.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["outs"]
        name = str(out["md5"])
        if not name.endswith(".dir"):
            raise ValueError("not the pointer of a folder")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{pointer}: not a DVC pointer of one folder ({reason}). If it shows a merge conflict, take either side: "
            "both stand for the same key (`git checkout --ours FILE`); else restore it from git."
        ) from error
    return name


class Vault:
    """The objects of one DVC repository, here (cache) and there (default remote)."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root

    @cached_property
    def _repo(self) -> Any:
        from dvc.repo import Repo

        return Repo(str(self.root))

    @cached_property
    def cache(self) -> Any:
        """DVC's local cache."""
        return self._repo.cache.local

    @cached_property
    def remote(self) -> Any:
        """The default remote's store. Raises UnreachableError where there is none."""
        from dvc.exceptions import DvcException

        try:
            return self._repo.cloud.get_remote_odb(command="pull")
        except DvcException as error:
            raise UnreachableError(str(error).splitlines()[0]) from error

    @property
    def remote_name(self) -> str:
        """Its address, for messages."""
        return str(self.remote.fs.unstrip_protocol(self.remote.path))

    def here(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that stand in the cache."""
        return {each for each in objects if Path(self.cache.oid_to_path(each)).is_file()}

    def there(self, objects: Iterable[str]) -> set[str]:
        """Those of the objects that stand in the remote. Raises UnreachableError."""
        wanted = set(objects)
        if not wanted:
            return set()
        try:
            return set(self.remote.oids_exist(wanted))
        except UnreachableError:
            raise
        except Exception as error:  # each kind of remote has its own library with its own errors
            raise UnreachableError(f"{self.remote_name}: {error or type(error).__name__}") from error

    def bring(self, objects: Iterable[str]) -> dict[str, str]:
        """Fetch objects from the remote into the cache; what failed, with the reason. Contents are checked.

        Raises UnreachableError where the remote does not answer at all.
        """
        wanted = sorted(set(objects) - self.here(objects))
        failed: dict[str, str] = {}
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            try:
                self.cache.add(
                    [self.remote.oid_to_path(each) for each in part],
                    self.remote.fs,
                    part,
                    verify=True,
                    on_error=lambda name, error: failed.update({name: str(error) or type(error).__name__}),
                )
            except UnreachableError:
                raise
            except Exception as error:
                raise UnreachableError(f"{self.remote_name}: {error or type(error).__name__}") from error
        damaged = set(wanted) - self.here(wanted) - set(failed)
        return failed | dict.fromkeys(damaged, "its bytes in the remote are not those of its name")

    def files(self, directory: str) -> dict[str, str]:
        """Relative path → object of each file of a ``.dir`` object that stands in the cache. ValueError if damaged."""
        listed = json.loads(Path(self.cache.oid_to_path(directory)).read_bytes())
        return {each["relpath"]: each["md5"] for each in listed}

    def drop(self, objects: Iterable[str]) -> None:
        """Remove objects from the cache."""
        for each in objects:
            Path(self.cache.oid_to_path(each)).unlink(missing_ok=True)

    def place(self, directory: str, folder: Path) -> None:
        """Fill an empty folder with an artefact whose objects all stand in the cache, by links as DVC is set up."""
        from dvc.fs import LocalFileSystem
        from dvc_data.hashfile.checkout import checkout
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree = Tree.load(self.cache, HashInfo("md5", directory))
        checkout(os.fspath(folder.resolve()), LocalFileSystem(), tree, self.cache, force=True, quiet=True)
