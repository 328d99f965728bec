"""Sources, tasks, compressions and metrics are found by their file's name: there is no list to edit."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

KINDS = ("sources", "tasks", "compression", "metrics")


@cache
def names(kind: str) -> tuple[str, ...]:
    """Names of all modules of a kind, sorted."""
    folder = Path(__file__).parent / kind
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")))


def load(kind: str, name: str) -> ModuleType:
    """The module ``fairshrink.<kind>.<name>``; KeyError if there is no such file."""
    if kind not in KINDS or name not in names(kind):
        raise KeyError(f"fairshrink/{kind}/{name}.py does not exist")
    return importlib.import_module(f"fairshrink.{kind}.{name}")
