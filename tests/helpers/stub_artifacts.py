"""Small artifacts made by hand in a real git and DVC repository, for the tests of `fairshrink.upkeep`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tiny_study import ROOT, git

from fairshrink import keys
from fairshrink.store import artifacts
from fairshrink.store.layout import FOLDERS


def job(stage: str, name: str, *, folder: str | None = None, **params) -> dict:
    """An artifact's entry in a plan, its key computed from its parts."""
    parts = {"stage": stage, "code": {"m:f": "0" * 16}, "params": params, "inputs": {}}
    key = keys.key(**parts)
    path = f"{folder or FOLDERS[stage]}/{name}-{key}"
    return {"path": path, "key": key, "name": name, "stage": stage, "parts": parts}


def make(root: Path, entry: dict, files: dict[str, bytes]) -> str:
    """Fill an artifact; returns its path below ``root``."""

    def fill(folder: Path) -> dict:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return {}

    named = {name: entry[name] for name in ("stage", "name", "key", "parts")}
    artifacts.make(artifacts.Recipe(**named, path=str(root / entry["path"])), fill)
    return entry["path"]


def repository(root: Path) -> Path:
    """An empty git and DVC repository with this project's ignore files."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    dvc(root, "init", "-q")
    dvc(root, "config", "cache.type", "hardlink,copy")
    for name in (".dvcignore", "results/.gitignore", *(f"{folder}/.gitignore" for folder in FOLDERS.values())):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text((ROOT / name).read_text())
    return root


def dvc(root: Path, *arguments: str) -> None:
    """Run DVC's own command, in this process: starting and importing it takes longer than what it does here."""
    from dvc.cli import main

    with contextlib.chdir(root), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_NO_ANALYTICS", "1")
        status = main(list(arguments))
    assert status == 0, arguments


def overwrite(path: Path, content: bytes) -> None:
    """Change bytes in place, as a failing disk does: all links to them see it."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def flip(path: Path) -> None:
    """Change one byte in place."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    overwrite(path, bytes(content))
