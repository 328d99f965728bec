"""DVC's default remote as a store of objects: an unreachable remote is distinguished from a missing object.

It works for a folder, SSH, S3 and every other kind that DVC supports. DVC's own listings omit what they could not read,
and its uploads over SSH write to the final name; here, objects missing from a listing are queried one by one, and an
upload gets its final name when it is complete.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NO_REMOTE = "DVC has no default remote here"
MISSING = "it is neither in DVC's cache nor in the remote"
TIMEOUT_S = 30
"""A host that has not responded by then is given up, unless the remote's own settings say otherwise."""
KEEPALIVE = {"keepalive_interval": 15, "keepalive_count_max": 4}
"""asyncssh: a connection that has been silent for a minute is closed."""
RETRIES = 3
"""How often a request to S3 is repeated."""
LOCKED_S = 120
"""How long another process may keep DVC's database of this repository to itself."""
INCOMING = "incoming"
"""Folder of an SSH remote for unfinished uploads."""


class UnreachableError(Exception):
    """The remote does not respond, refuses access, or does not exist; the text says which and why."""


def damaged(address: str) -> str:
    """The reason given for an artifact one of whose objects in the remote does not match its name."""
    return f"it is damaged in the remote ({address})"


class RemoteStore:
    """The objects of the default remote of a DVC repository. Raises UnreachableError where there is none."""

    def __init__(self, repo: Any) -> None:
        from dvc.config import NoRemoteError

        try:
            remote = _when_unlocked(repo, lambda: repo.cloud.get_remote(command="pull"))
            self.odb = repo.cloud.get_remote_odb(command="pull")
            self.fs = self.odb.fs
            self.root = str(remote.path)
            self.name = f"remote {remote.name} ({self.fs.unstrip_protocol(self.root)})"
            _limit_waiting(self.fs)
        except NoRemoteError as error:
            raise UnreachableError(NO_REMOTE) from error
        except Exception as error:  # invalid settings, a missing plugin
            raise UnreachableError(f"DVC's default remote: {_one_line(error)}") from error
        self._failure: str | None = None
        self._reached = False
        self._folders: set[str] = set()

    @property
    def _by_object(self) -> bool:
        """Whether this is an object store, where an upload appears whole or not at all."""
        from dvc_objects.fs.base import ObjectFileSystem

        return isinstance(self.fs, ObjectFileSystem)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Every error in the block means that the remote is unreachable; it is not contacted again after one."""
        if self._failure:
            raise UnreachableError(self._failure)
        try:
            if not self._reached:
                self._reach()
                self._reached = True
            yield
        except UnreachableError as error:
            self._failure = str(error)
            raise
        except Exception as error:  # each kind of remote has its own library with its own errors
            self._failure = f"{self.name}: {_one_line(error)}"
            raise UnreachableError(self._failure) from error

    def _reach(self) -> None:
        """One small request; a folder or bucket that does not exist must not be mistaken for an empty one."""
        _ = self.fs.fs  # connects
        try:
            if self.fs.protocol == "s3":
                self.fs.fs.retries = RETRIES
                self.fs.fs.call_s3("head_bucket", Bucket=self.root.strip("/").split("/")[0], timeout=TIMEOUT_S)
            elif self.fs.protocol in ("local", "ssh"):
                info = self.fs.info(self.root)
                if info["type"] != "directory":
                    raise UnreachableError(f"{self.name}: not a folder")
        except FileNotFoundError as error:
            raise UnreachableError(
                f"{self.name}: the folder or bucket does not exist. Create it once, or mount its disk"
            ) from error
        if self.fs.protocol == "local" and not os.access(self.root, os.R_OK | os.X_OK):
            raise UnreachableError(f"{self.name}: no permission to read it")

    def address(self, each: str) -> str:
        """The address of an object in the remote, for messages."""
        return str(self.fs.unstrip_protocol(self.odb.oid_to_path(each)))

    def existing(self, objects: Iterable[str], recheck: Iterable[str] | None = None) -> set[str]:
        """Those of the objects that exist in the remote, whatever their bytes. Raises UnreachableError.

        As listings may be incomplete, objects missing from one are queried individually if they are in ``recheck``
        (None: all).
        """
        wanted = set(objects)
        if not wanted:
            return set()
        with self._connected():
            self.fs.fs.invalidate_cache()
            if self.fs.protocol == "local":  # the local store's own query reads objects and removes damaged ones
                return set(self.odb.list_oids_exists(wanted))
            found = set(self.odb.oids_exist(wanted))
            unlisted = wanted - found if recheck is None else (wanted - found).intersection(recheck)
            return found | (set(self.odb.list_oids_exists(unlisted)) if unlisted else set())

    def complete(self, sizes: dict[str, int | None], recheck: Iterable[str] | None = None) -> set[str]:
        """Those of some objects that exist in the remote, with the right size where one is given (in bytes).

        ``recheck`` as for `existing`. Raises UnreachableError.
        """
        found = self.existing(sizes, recheck)
        measured = [] if self._by_object else sorted(each for each in found if sizes[each] is not None)
        if not measured:
            return found
        with self._connected():
            infos = self.fs.info([self.odb.oid_to_path(each) for each in measured])
        return found - {each for each, info in zip(measured, infos, strict=True) if info["size"] != sizes[each]}

    def stamps(self, objects: Iterable[str]) -> dict[str, str]:
        """A text for each object that changes when the object is replaced in the remote; empty if it does not exist."""
        wanted = sorted(objects)
        if not wanted:
            return {}
        with self._connected():
            self.fs.fs.invalidate_cache()
            infos = self.fs.info([self.odb.oid_to_path(each) for each in wanted], return_exceptions=True)
        fields = ("size", "mtime", "LastModified", "ETag")
        return {
            each: "" if isinstance(info, Exception) else " ".join(str(info.get(field)) for field in fields)
            for each, info in zip(wanted, infos, strict=True)
        }

    def get(self, target: Any, objects: list[str]) -> dict[str, str]:
        """Fetch objects into another store, which checks their bytes; returns those not available, with the reason.

        Raises UnreachableError if the connection or the disk fails; objects that have arrived complete are kept.
        """
        errors: dict[str, Exception] = {}
        with self._connected():
            try:
                paths = [self.odb.oid_to_path(each) for each in objects]
                target.add(paths, self.fs, objects, verify=True, on_error=errors.__setitem__)
            except Exception as error:
                if not errors:  # else it is a consequence of one of them: DVC renames what did not arrive
                    errors[""] = error
        absent = set(objects) - set(target.oids_exist(objects))
        in_remote = self.existing(absent)
        failed = dict.fromkeys(absent - in_remote, MISSING)
        with self._connected():
            for each in sorted(in_remote):
                if each in errors or "" in errors:
                    raise errors.get(each) or errors[""]
                failed[each] = damaged(self.address(each))
        return failed

    def put(self, source: Any, objects: list[str]) -> None:
        """Upload objects of another store, replacing those that exist already. Raises UnreachableError."""
        with self._connected():
            if self._by_object:
                self._put(source, objects)
            elif self.fs.protocol == "local":
                for each in objects:  # a reflink would not replace an existing object
                    Path(self.odb.oid_to_path(each)).unlink(missing_ok=True)
                self._put(source, objects)
            else:
                self._put_and_rename(source, objects)

    def _put(self, source: Any, objects: list[str]) -> None:
        errors: dict[str, Exception] = {}
        paths = [source.oid_to_path(each) for each in objects]
        self.odb.add(paths, source.fs, objects, check_exists=False, verify=False, on_error=errors.__setitem__)
        for error in errors.values():
            raise error

    def _put_and_rename(self, source: Any, objects: list[str]) -> None:
        """Upload under temporary names and rename: a killed upload leaves nothing under the name of an object."""
        from dvc_objects.fs.generic import transfer

        incoming = self.fs.join(self.root, INCOMING, uuid.uuid4().hex[:12])
        moves = {self.fs.join(incoming, each): self.odb.oid_to_path(each) for each in objects}
        errors: list[BaseException] = []
        try:
            self.fs.makedirs(incoming, exist_ok=True)
            paths = [source.oid_to_path(each) for each in objects]
            transfer(source.fs, paths, self.fs, list(moves), on_error=lambda _, __, error: errors.append(error))
            for error in errors:
                raise error
            for folder in sorted({self.fs.parent(path) for path in moves.values()} - self._folders):
                self.fs.makedirs(folder, exist_ok=True)
                self._folders.add(folder)
            with ThreadPoolExecutor(self.fs.jobs) as pool:
                list(pool.map(self.fs.move, moves.keys(), moves.values()))
        finally:
            with suppress(Exception):  # the connection may be what failed
                self.fs.rm(incoming, recursive=True)


def _limit_waiting(fs: Any) -> None:
    """Replace the defaults (half an hour for a silent SSH host, 25 tries for S3), but not the user's own settings."""
    if fs.protocol == "ssh":
        if "timeout" not in fs.config:
            fs.fs_args["timeout"] = TIMEOUT_S
        for name, value in KEEPALIVE.items():
            fs.fs_args.setdefault(name, value)
    elif fs.protocol == "s3":
        settings = fs.fs_args.setdefault("config_kwargs", {})
        settings.setdefault("connect_timeout", TIMEOUT_S)
        settings.setdefault("read_timeout", TIMEOUT_S)
        settings.setdefault("retries", {"total_max_attempts": 2, "mode": "standard"})


def _when_unlocked(repo: Any, call: Callable[[], Any]) -> Any:
    """What a call of DVC's returns, which opens the repository's index; waits while other processes set it up.

    Where two processes create the index at once, SQLite refuses one of them without waiting.
    """
    end = time.monotonic() + LOCKED_S
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            repo.close()  # its connection counts as set up, although it is not
            time.sleep(0.05 + 0.1 * (os.getpid() % 7) / 7)


def _one_line(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, TimeoutError):
        return f"no response in time{f' ({text})' if text else ''}"
    return text or type(error).__name__
