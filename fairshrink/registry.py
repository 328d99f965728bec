"""Sources, tasks, compression methods and metrics are found by their name: there is no list to edit.

A module called X is ``X.py``, or a folder ``X/`` with ``source.py``, ``task.py``, ``method.py`` or ``metric.py`` and
whatever only it needs. Both may be inside family folders, at any depth. Names that begin with ``_`` are never found.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from fairshrink.contracts import AnyMethod, AnyMetric, AnySource, AnyTask

PACKAGE = Path(__file__).parent
M = TypeVar("M")


@dataclass(frozen=True)
class Modules(Generic[M]):
    """The modules in one folder of the package; ``main`` is the file to import if a module is a folder."""

    folder: str
    main: str

    def names(self) -> tuple[str, ...]:
        """Names of all modules, sorted."""
        return tuple(sorted(_found(self.folder, self.main)))

    def __contains__(self, name: object) -> bool:
        return name in _found(self.folder, self.main)

    def __getitem__(self, name: str) -> M:
        """The module of that name; KeyError if there is none."""
        return cast(M, importlib.import_module(f"fairshrink.{self.path(name)}"))

    def path(self, name: str) -> str:
        """Dotted name of a module below the package, e.g. ``metrics.seat.metric``; KeyError if there is none."""
        if name not in self:
            raise KeyError(f"fairshrink/{self.folder}/ has no module '{name}'")
        return _found(self.folder, self.main)[name]

    def family(self, name: str) -> str:
        """The folder that a module is in, e.g. ``unstructured``; "" if it is in none. KeyError as `path`."""
        parts = self.path(name).split(".")[1:]
        return ".".join(parts[: parts.index(name)])

    def card(self, name: str) -> str:
        """The module's docstring: what it computes, and how to use it. KeyError as `path`."""
        return self[name].__doc__ or ""


@dataclass(frozen=True)
class Catalog:
    """All modules that a study can name, by kind."""

    sources: Modules[AnySource] = field(default_factory=lambda: Modules[AnySource]("sources", "source"))
    tasks: Modules[AnyTask] = field(default_factory=lambda: Modules[AnyTask]("tasks", "task"))
    compression: Modules[AnyMethod] = field(default_factory=lambda: Modules[AnyMethod]("compression", "method"))
    metrics: Modules[AnyMetric] = field(default_factory=lambda: Modules[AnyMetric]("metrics", "metric"))


CATALOG = Catalog()


@cache
def _found(folder: str, main: str) -> dict[str, str]:
    """Dotted names by name. Raises RuntimeError if two modules of a folder have the same name."""
    found: dict[str, str] = {}
    for name, module in _walk(PACKAGE / folder, folder, main):
        if name in found:
            raise RuntimeError(f"{found[name]} and {module} have the same name: rename one of them")
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


KINDS = ("sources", "tasks", "compression", "metrics")


def modules(kind: str) -> Modules[Any]:
    """The modules of a kind; KeyError if there is no such kind."""
    by_kind: dict[str, Modules[Any]] = {
        "sources": CATALOG.sources,
        "tasks": CATALOG.tasks,
        "compression": CATALOG.compression,
        "metrics": CATALOG.metrics,
    }
    return by_kind[kind]


def names(kind: str) -> tuple[str, ...]:
    """Names of all modules of a kind, sorted."""
    return modules(kind).names()


def load(kind: str, name: str) -> Any:
    """The module of a kind and name; KeyError if there is none."""
    return modules(kind)[name]
