"""DVC's default remote as a store of objects: one that does not answer is told apart from one that lacks an object.

The same for a folder, SSH, S3 and what else DVC knows. DVC's own listings leave out what they could not read, and its
uploads over SSH write under the final name; here misses are asked for one by one, and an upload takes its name when it
is whole.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NO_REMOTE = "DVC has no default remote here"
MISSING = "it is neither in DVC's cache nor in the remote"
SECONDS = 30
"""A host that has not answered by then is given up, where the remote's own settings say nothing else."""
KEEPALIVE = {"keepalive_interval": 15, "keepalive_count_max": 4}
"""asyncssh: a connection that has been silent for a minute is closed."""
TRIES = 3
"""How often a request to S3 is made anew."""
INCOMING = "incoming"
"""Folder of an SSH remote for uploads that are not whole yet."""


class UnreachableError(Exception):
    """The remote does not answer, does not let us in, or there is none; the text says which and why."""


def damaged(address: str) -> str:
    """Why an artifact is lost whose object has other bytes in the remote than its name says."""
    return f"it is damaged in the remote ({address})"


class RemoteStore:
    """The objects of the default remote of a DVC repository. Raises UnreachableError where there is none."""

    def __init__(self, repo: Any) -> None:
        from dvc.config import NoRemoteError

        try:
            remote = repo.cloud.get_remote(command="pull")
            self.odb = repo.cloud.get_remote_odb(command="pull")
            self.fs = self.odb.fs
            self.root = str(remote.path)
            self.name = f"remote {remote.name} ({self.fs.unstrip_protocol(self.root)})"
            _limit_waiting(self.fs)
        except NoRemoteError as error:
            raise UnreachableError(NO_REMOTE) from error
        except Exception as error:  # settings that do not fit, a missing plugin
            raise UnreachableError(f"DVC's default remote: {_plain(error)}") from error
        self._down: str | None = None
        self._reached = False
        self._made: set[str] = set()

    @property
    def _by_object(self) -> bool:
        """Whether this is an object store, where an upload appears whole or not at all."""
        from dvc_objects.fs.base import ObjectFileSystem

        return isinstance(self.fs, ObjectFileSystem)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Every error of the block means that the remote is out of reach; it is then not asked again."""
        if self._down:
            raise UnreachableError(self._down)
        try:
            if not self._reached:
                self._reach()
                self._reached = True
            yield
        except UnreachableError as error:
            self._down = str(error)
            raise
        except Exception as error:  # each kind of remote has its own library with its own errors
            self._down = f"{self.name}: {_plain(error)}"
            raise UnreachableError(self._down) from error

    def _reach(self) -> None:
        """One small question; a folder or bucket that is not there must not be mistaken for an empty one."""
        _ = self.fs.fs  # connects
        try:
            if self.fs.protocol == "s3":
                self.fs.fs.retries = TRIES
                self.fs.fs.call_s3("head_bucket", Bucket=self.root.strip("/").split("/")[0], timeout=SECONDS)
            elif self.fs.protocol in ("local", "ssh"):
                info = self.fs.info(self.root)
                if info["type"] != "directory":
                    raise UnreachableError(f"{self.name}: not a folder")
        except FileNotFoundError as error:
            raise UnreachableError(
                f"{self.name}: there is no such place. Make the folder or bucket once, or mount its disk"
            ) from error
        if self.fs.protocol == "local" and not os.access(self.root, os.R_OK | os.X_OK):
            raise UnreachableError(f"{self.name}: no permission to read it")

    def address(self, each: str) -> str:
        """Where an object stands in the remote, for messages."""
        return str(self.fs.unstrip_protocol(self.odb.oid_to_path(each)))

    def holding(self, objects: Iterable[str], doubted: Iterable[str] | None = None) -> set[str]:
        """Those of the objects that stand in the remote, whatever their bytes. Raises UnreachableError.

        What a listing lacks is asked for by itself, as a listing may be short; only what is ``doubted`` (None: all).
        """
        wanted = set(objects)
        if not wanted:
            return set()
        with self._talking():
            self.fs.fs.invalidate_cache()
            if self.fs.protocol == "local":  # the local store's own question reads and removes what is damaged
                return set(self.odb.list_oids_exists(wanted))
            found = set(self.odb.oids_exist(wanted))
            doubtful = wanted - found if doubted is None else (wanted - found).intersection(doubted)
            return found | (set(self.odb.list_oids_exists(doubtful)) if doubtful else set())

    def whole(self, sizes: dict[str, int | None], doubted: Iterable[str] | None = None) -> set[str]:
        """Those of some objects that stand in the remote, in full length where their bytes are given.

        ``doubted`` as for `holding`. Raises UnreachableError.
        """
        found = self.holding(sizes, doubted)
        measured = [] if self._by_object else sorted(each for each in found if sizes[each] is not None)
        if not measured:
            return found
        with self._talking():
            infos = self.fs.info([self.odb.oid_to_path(each) for each in measured])
        return found - {each for each, info in zip(measured, infos, strict=True) if info["size"] != sizes[each]}

    def stamps(self, objects: Iterable[str]) -> dict[str, str]:
        """A text for each object that changes when it is replaced in the remote; empty where it is not there."""
        wanted = sorted(objects)
        if not wanted:
            return {}
        with self._talking():
            self.fs.fs.invalidate_cache()
            infos = self.fs.info([self.odb.oid_to_path(each) for each in wanted], return_exceptions=True)
        facts = ("size", "mtime", "LastModified", "ETag")
        return {
            each: "" if isinstance(info, Exception) else " ".join(str(info.get(fact)) for fact in facts)
            for each, info in zip(wanted, infos, strict=True)
        }

    def get(self, target: Any, objects: list[str]) -> dict[str, str]:
        """Fetch objects into another store, which checks their bytes; those that cannot be had, with the reason.

        Raises UnreachableError if the connection or the disk fails; what had arrived whole stays.
        """
        errors: dict[str, Exception] = {}
        with self._talking():
            try:
                paths = [self.odb.oid_to_path(each) for each in objects]
                target.add(paths, self.fs, objects, verify=True, on_error=errors.__setitem__)
            except Exception as error:
                if not errors:  # else it follows from one of them: DVC renames what did not arrive
                    errors[""] = error
        absent = set(objects) - set(target.oids_exist(objects))
        there = self.holding(absent)
        failed = dict.fromkeys(absent - there, MISSING)
        with self._talking():
            for each in sorted(there):
                if each in errors or "" in errors:
                    raise errors.get(each) or errors[""]
                failed[each] = damaged(self.address(each))
        return failed

    def put(self, source: Any, objects: list[str]) -> None:
        """Send objects of another store, replacing those that stand there already. Raises UnreachableError."""
        with self._talking():
            if self._by_object:
                self._put(source, objects)
            elif self.fs.protocol == "local":
                for each in objects:  # a reflink would leave what is there alone
                    Path(self.odb.oid_to_path(each)).unlink(missing_ok=True)
                self._put(source, objects)
            else:
                self._put_aside(source, objects)

    def _put(self, source: Any, objects: list[str]) -> None:
        errors: dict[str, Exception] = {}
        paths = [source.oid_to_path(each) for each in objects]
        self.odb.add(paths, source.fs, objects, check_exists=False, verify=False, on_error=errors.__setitem__)
        for error in errors.values():
            raise error

    def _put_aside(self, source: Any, objects: list[str]) -> None:
        """Upload under other names and rename: a killed upload leaves nothing under the name of a whole object."""
        from dvc_objects.fs.generic import transfer

        aside = self.fs.join(self.root, INCOMING, uuid.uuid4().hex[:12])
        moves = {self.fs.join(aside, each): self.odb.oid_to_path(each) for each in objects}
        errors: list[BaseException] = []
        try:
            self.fs.makedirs(aside, exist_ok=True)
            paths = [source.oid_to_path(each) for each in objects]
            transfer(source.fs, paths, self.fs, list(moves), on_error=lambda _, __, error: errors.append(error))
            for error in errors:
                raise error
            for folder in sorted({self.fs.parent(path) for path in moves.values()} - self._made):
                self.fs.makedirs(folder, exist_ok=True)
                self._made.add(folder)
            with ThreadPoolExecutor(self.fs.jobs) as pool:
                list(pool.map(self.fs.move, moves.keys(), moves.values()))
        finally:
            with suppress(Exception):  # the connection may be what failed
                self.fs.rm(aside, recursive=True)


def _limit_waiting(fs: Any) -> None:
    """DVC waits half an hour for a silent SSH host, and S3's libraries try 25 times; the user's own settings hold."""
    if fs.protocol == "ssh":
        if "timeout" not in fs.config:
            fs.fs_args["timeout"] = SECONDS
        for name, value in KEEPALIVE.items():
            fs.fs_args.setdefault(name, value)
    elif fs.protocol == "s3":
        settings = fs.fs_args.setdefault("config_kwargs", {})
        settings.setdefault("connect_timeout", SECONDS)
        settings.setdefault("read_timeout", SECONDS)
        settings.setdefault("retries", {"total_max_attempts": 2, "mode": "standard"})


def _plain(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, TimeoutError):
        return f"no answer in time{f' ({text})' if text else ''}"
    return text or type(error).__name__
