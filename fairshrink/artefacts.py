"""Artefacts on disk: folders that appear whole or not at all, with a record of what made them.

A folder that holds ``provenance.json`` is a valid artefact. It is filled under a temporary name beside its
place and renamed when it is whole, so a killed job or a full disk leaves nothing that could be taken for it.
"""

from __future__ import annotations

import errno
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fairshrink.errors import UserError

MARKER = "provenance.json"
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas", "pyarrow")


def exists(path: Path) -> bool:
    """Whether a valid artefact stands at this place."""
    return (path / MARKER).is_file()


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """An empty folder to fill; becomes ``path`` when the block ends without an error.

    Where another process has finished the same artefact meanwhile, its copy stays: equal keys, equal contents.
    Raises UserError when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    temporary.mkdir()
    try:
        yield temporary
        if not (temporary / MARKER).is_file():
            raise RuntimeError(f"{path}: filled without a {MARKER}")
        _sync(temporary)
        _put_in_place(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: no space left while writing. Nothing half-written was kept; "
                "free some space on this disk and run again."
            ) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, path: Path) -> None:
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


def make(job: dict[str, Any], fill: Callable[[Path], dict[str, Any]]) -> None:
    """Build one artefact: ``fill`` writes its files into a folder and returns what provenance shall add.

    ``job`` is an artefact's entry in the plan: path, key, name, stage, parts. Does nothing if it is already there.
    """
    path = Path(job["path"])
    if exists(path):
        return
    started = time.perf_counter()
    with building(path) as folder:
        facts = fill(folder)
        record = {
            "key": job["key"],
            "name": job["name"],
            "stage": job["stage"],
            "parts": job["parts"],
            "made": _circumstances() | {"wall_s": round(time.perf_counter() - started, 3)},
            "files": file_digests(folder),
        } | facts
        write_json(folder / MARKER, record)


def read_provenance(path: Path) -> dict[str, Any]:
    """The record of the artefact at ``path``."""
    return json.loads((path / MARKER).read_text(encoding="utf-8"))


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
    """Write JSON through a temporary file, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.part"
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _circumstances() -> dict[str, Any]:
    """Where and with what an artefact is made: for provenance, never for keys."""
    packages = _versions()
    return {
        "packages": packages,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "device": _device(),
        "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
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


@cache
def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
