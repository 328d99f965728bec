"""The objects of DVC's local cache as files: their names, their paths, what they list."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.remote.repository import opened

NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")
DIRECTORY = ".dir"


class Objects:
    """The local cache of the DVC repository at ``root``; it is empty where there is none, or DVC cannot start."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def exists(self) -> bool:
        """Whether there is a repository that DVC can open; if it cannot, the log says why."""
        if not (self.root / ".dvc").is_dir():
            return False
        try:
            return self._repo is not None
        except UserError as error:
            log(f"{error} Until then its cache is not looked at.")
            return False

    @cached_property
    def _repo(self) -> Any:
        return opened(self.root)

    @cached_property
    def folder(self) -> Path:
        """The folder of the cache, as configured in DVC."""
        return Path(self._repo.cache.local.path)

    @property
    def links(self) -> bool:
        """Whether files of the working tree are hardlinks to objects, where that is possible."""
        return self.exists and next(iter(self._repo.cache.local.cache_types), None) == "hardlink"

    @property
    def is_own(self) -> bool:
        """Whether the cache is inside the repository; one outside may serve other repositories too."""
        return self.folder.resolve().is_relative_to(self.root.resolve())

    def path(self, name: str) -> Path:
        """The file of an object."""
        return self.folder / name[:2] / name[2:]

    def names(self) -> Iterator[str]:
        """All objects of the cache."""
        if not self.exists or not self.folder.is_dir():
            return
        for folder in os.scandir(self.folder):
            if folder.is_dir() and len(folder.name) == 2:
                yield from (name for each in os.scandir(folder.path) if NAME.fullmatch(name := folder.name + each.name))

    @cached_property
    def by_inode(self) -> dict[tuple[int, int], str]:
        """Name of each object by (device, inode), to find it through a hardlink."""
        found = {}
        for name in self.names():
            status = self.path(name).stat()
            found[status.st_dev, status.st_ino] = name
        return found

    def listing(self, directory: str) -> dict[str, str] | None:
        """Relative path → object of the files of a ``.dir`` object; None if it is not in the cache or no such list."""
        try:
            return {each["relpath"]: each["md5"] for each in json.loads(self.path(directory).read_bytes())}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_ignored(self, path: Path) -> bool:
        """Whether DVC ignores this file (`.dvcignore`)."""
        return bool(self._repo.dvcignore.is_ignored_file(os.fspath(path.absolute())))


def directory_object(files: Mapping[str, str]) -> str:
    """Name of the ``.dir`` object of a folder, from the MD5 of its files by relative path."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for name, md5 in files.items():
        tree.add(tuple(name.split("/")), None, HashInfo("md5", md5))
    tree.digest()
    return str(tree.oid)


def mentioned(texts: Iterable[str]) -> set[str]:
    """Objects named by pointers and lock files of DVC, even if they contain both sides of a merge conflict."""
    return {match.group() for text in texts for match in re.finditer(rf"\b{NAME.pattern}(?![0-9a-f])", text)}
