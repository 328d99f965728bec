"""Sources, tasks, compressions and metrics are found by their name: there is no list to edit.

A module called X is ``X.py``, or a folder ``X/`` with ``source.py``, ``task.py``, ``method.py`` or ``metric.py`` and
whatever only it needs. Both may be inside family folders, at any depth. Names that begin with ``_`` are never found.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
MAIN_FILES = {"sources": "source", "tasks": "task", "compression": "method", "metrics": "metric"}
"""For each kind of module, the file that speaks for a module that is a folder."""
KINDS = tuple(MAIN_FILES)


@cache
def names(kind: str) -> tuple[str, ...]:
    """Names of all modules of a kind, sorted."""
    return tuple(sorted(_found(kind)))


def module_name(kind: str, name: str) -> str:
    """Dotted name of a module below the package, e.g. ``metrics.seat.metric``; KeyError if there is none."""
    if kind not in KINDS or name not in _found(kind):
        raise KeyError(f"fairshrink/{kind}/ has no module '{name}'")
    return _found(kind)[name]


def family(kind: str, name: str) -> str:
    """The folder that a module is in, below its kind's: ``unstructured``; "" where it is in none."""
    parts = module_name(kind, name).split(".")[1:]
    return ".".join(parts[: parts.index(name)])


def load(kind: str, name: str) -> ModuleType:
    """The module of that kind and name; KeyError if there is none."""
    return importlib.import_module(f"fairshrink.{module_name(kind, name)}")


@cache
def _found(kind: str) -> dict[str, str]:
    """Dotted names by name. Raises RuntimeError where two modules of a kind have one name."""
    found: dict[str, str] = {}
    for name, module in _walk(PACKAGE / kind, kind, MAIN_FILES[kind]):
        if name in found:
            raise RuntimeError(f"{found[name]} and {module} have one name: rename one of them")
        found[name] = module
    return found


def _walk(folder: Path, dotted: str, main: str) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("_"):
            continue
        if path.suffix == ".py":
            yield path.stem, f"{dotted}.{path.stem}"
        elif (path / f"{main}.py").is_file():
            yield path.name, f"{dotted}.{path.name}.{main}"
        elif path.is_dir():
            yield from _walk(path, f"{dotted}.{path.name}", main)
