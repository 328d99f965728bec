"""Methods, metrics, tasks and sources that a study can name: family, requirements, and the first line of the card.

The card is the docstring of the module; docs/study.md lists the settings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from types import ModuleType

KINDS = {"methods": "compression", "metrics": "metrics", "tasks": "tasks", "sources": "sources"}
"""Names of the kinds on the command line → folder of each."""


@dataclass(frozen=True)
class Line:
    """One module; ``needs`` says what it requires, "" for nothing."""

    kind: str
    name: str
    family: str
    needs: str
    about: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("kind", nargs="?", choices=KINDS, metavar="KIND", help=f"only {', '.join(KINDS)}")
    parser.add_argument("--json", action="store_true", help="plain values for programs")


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    kinds = [options.kind] if options.kind else list(KINDS)
    found = {kind: lines(kind) for kind in kinds}
    if options.json:
        print(json.dumps([asdict(each) for kind in kinds for each in found[kind]], indent=1))
    else:
        print("\n\n".join(_table(kind, found[kind]) for kind in kinds))
    return 0


def lines(kind: str) -> list[Line]:
    """All modules of a kind, by its name on the command line, sorted by family and name."""
    from fairshrink import registry
    from fairshrink.documenting import cards

    folder = KINDS[kind]
    found = []
    for name in registry.names(folder):
        module = registry.load(folder, name)
        family = getattr(module, "KIND", None) or registry.modules(folder).family(name)
        found.append(Line(kind, name, family, "; ".join(_needs(folder, module)), cards.of(folder, name).title))
    return sorted(found, key=lambda each: (each.family, each.name))


def _needs(folder: str, module: ModuleType) -> Iterable[str]:
    """The capabilities of which a checkpoint must have one, and what else is required."""
    yield from filter(None, [" or ".join(sorted(getattr(module, "NEEDS", ())))])
    yield from (f"data: {role}" for role in sorted(getattr(module, "ROLES", ())))
    yield from (f"data, if wanted: {role}" for role in sorted(getattr(module, "OPTIONAL_ROLES", ())))
    if folder == "compression" and module.NEEDS_TASK:
        yield "examples of the task"
    if folder == "tasks" and module.TRAINED:
        yield "labeled examples"


def _table(kind: str, found: list[Line]) -> str:
    rows = [(each.name, each.family, each.needs, each.about) for each in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    texts = ["  ".join([*(row[i].ljust(widths[i]) for i in range(3) if widths[i]), row[3]]) for row in rows]
    return "\n".join([f"{kind}:", *(f"  {text}" for text in texts)])
