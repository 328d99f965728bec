"""Artifacts on disk: folders that appear complete or not at all, with a record of what made them.

A folder with ``provenance.json`` and every file named in it is a valid artifact. It is built under a temporary name in
the same parent folder and renamed when complete, so a killed job or a full disk leaves nothing that could be taken for
it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fairshrink import keys
from fairshrink.contracts import Stage
from fairshrink.errors import UserError
from fairshrink.store import energy
from fairshrink.store.layout import MARKER
from fairshrink.store.places import DISK_FULL

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pyarrow")


def exists(path: Path) -> bool:
    """Whether there is a complete artifact at this path: its record, and every file that the record names.

    Other tools may fill the folder file by file (`dvc pull`), so the record alone is not enough; and others write
    records, so one that names a file outside its folder is none.
    """
    try:
        names = listed(json.loads((path / MARKER).read_bytes()))
    except (OSError, ValueError):
        return False
    return all((path / name).is_file() for name in names)


def listed(record: object) -> dict[str, str]:
    """The files that a record names, with their SHA-256. ValueError if it names none, or one outside its folder."""
    files = record.get("files") if isinstance(record, dict) else None
    if not isinstance(files, dict):
        raise ValueError("it names no files")
    for name in files:
        parts = name.split("/")
        if not name.isprintable() or "\\" in name or MARKER in parts or {"", ".", ".."} & set(parts):
            raise ValueError(f"it names the file {name!r}, which cannot be one of its own")
    return files


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """An empty folder to fill; becomes ``path`` when the block ends without an error.

    If another process has finished the same artifact in the meantime, its copy is kept: equal keys, equal contents.
    Raises UserError when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    temporary, lock = _started(path)
    try:
        yield temporary
        if not (temporary / MARKER).is_file():
            raise RuntimeError(f"{path}: filled without a {MARKER}")
        _sync(temporary)
        _move_into_place(temporary, path)
    except Exception as error:
        if disk_full(error):
            raise UserError(
                f"{path}: no space left while writing. Nothing half-written was kept; "
                "free some space on this disk and run again."
            ) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def _started(path: Path) -> tuple[Path, int]:
    """A folder to fill, locked before it gets the name by which others would sweep it."""
    new = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.new"
    new.mkdir()
    lock = os.open(new, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return new.rename(new.with_suffix(".part")), lock


def sweep(folder: Path, name: str = "*") -> None:
    """Remove half-built folders that killed processes left in a folder (of one artifact's ``name``).

    A process that builds an artifact locks the folder it fills. Where folders cannot be locked (NFS), nothing is
    removed.
    """
    for leftover in folder.glob(f".{name}.????????.part"):
        with suppress(OSError):
            lock = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            finally:
                os.close(lock)


def disk_full(error: BaseException) -> bool:
    """Whether an error means a full disk or quota; libraries wrap the system's error in their own types."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in DISK_FULL
    return any(os.strerror(each) in str(error) or f"os error {each})" in str(error) for each in DISK_FULL)


def _move_into_place(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if exists(path):
            return
        leftover = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
        path.rename(leftover)
        temporary.rename(path)
        shutil.rmtree(leftover, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Flush to disk before the rename: after a power cut the new name must not point at empty files."""
    for each in sorted(folder.rglob("*")):
        if each.is_file():
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@dataclass(frozen=True)
class Recipe:
    """How an artifact is identified: its ``key`` is computed from ``parts``, its ``path`` from name and key."""

    stage: Stage
    name: str
    key: str
    path: str
    parts: Mapping[str, Any] = field(hash=False, compare=False)


def make(recipe: Recipe, fill: Callable[[Path], Mapping[str, Any]]) -> None:
    """Build one artifact: ``fill`` writes its files into a folder and returns further fields of its provenance record.

    Does nothing if it exists already. Raises what the witness raises (`witnessed`).
    """
    path = Path(recipe.path)
    if exists(path):
        return
    started, before = time.perf_counter(), energy.read()
    with building(path) as folder:
        facts = fill(folder)
        after = energy.read()
        _witness.get()(recipe)
        record = {
            "key": recipe.key,
            "name": recipe.name,
            "stage": recipe.stage,
            "parts": recipe.parts,
            "made": _circumstances()
            | {"wall_s": round(time.perf_counter() - started, 3)}
            | energy.used(before, after, _gpus()),
            "files": file_digests(folder),
            **facts,
        }
        write_json(folder / MARKER, record)


_witness: ContextVar[Callable[[Recipe], None]] = ContextVar("witness", default=lambda recipe: None)


@contextmanager
def witnessed(check: Callable[[Recipe], None]) -> Iterator[None]:
    """Inside, artifacts get their record only after ``check`` has seen their recipe and raised nothing."""
    token = _witness.set(check)
    try:
        yield
    finally:
        _witness.reset(token)


def read_provenance(path: Path) -> dict[str, Any]:
    """The record of the artifact at ``path``."""
    return json.loads((path / MARKER).read_text(encoding="utf-8"))


def faults(folder: Path, name: str) -> list[str]:
    """What is wrong with an artifact whose folder is called ``name``: its record, its key, the bytes of its files."""
    try:
        record = read_provenance(folder)
        parts, files = record["parts"], listed(record)
        expected = keys.key(**parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{MARKER}: not a valid provenance record ({type(error).__name__}: {error})"]
    found = file_digests(folder)
    wrong = [f"{each}: missing" for each in files if each not in found]
    wrong += [f"{each}: not in the record" for each in found if each not in files]
    wrong += [f"{each}: not the recorded bytes" for each in files if each in found and found[each] != files[each]]
    if not expected == record["key"] == name.rsplit("-", 1)[-1]:
        wrong.append(f"{MARKER}: key {record['key']}, but its parts have the key {expected}")
    return wrong


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    return {
        each.relative_to(folder).as_posix(): file_digest(each)
        for each in sorted(folder.rglob("*"))
        if each.is_file() and each.name != MARKER
    }


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary file, so that a reader never sees a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _circumstances() -> dict[str, Any]:
    """Machine, versions and time with which an artifact is made: for provenance, never for keys."""
    packages = _versions()
    return {
        "packages": packages,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "device": _device(),
        "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
        "gpus": _gpus(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "git_commit": _git_commit(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return platform.processor() or platform.machine()


def _gpus() -> int:
    """GPUs that this process has used."""
    torch = sys.modules.get("torch")
    return torch.cuda.device_count() if torch is not None and torch.cuda.is_initialized() else 0


@cache
def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
