"""Cards: the docstrings of methods, metrics, tasks and sources, parsed into their parts.

A card's first line says what the thing is; paragraphs of prose follow, then fields. A field begins with its label and a
colon at the start of a line (``Range: [0, 1]``) and goes on in lines that are indented by four spaces; ``Formula`` and
``Use`` are taken as they are written, the others are Markdown.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from fairshrink import registry

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "metrics": (
        "Formula", "Statistics", "Counts", "Paper", "Range", "Direction", "Unbiased model", "Random model", "Limits",
        "Data", "Use",
    ),
    "compression": ("Formula", "Paper", "Cost", "Saves", "Limits", "Use"),
    "tasks": ("Trains", "Scores", "Paper", "Limits", "Use"),
    "sources": ("Pin", "Network", "Limits", "Use"),
}  # fmt: skip
"""For each kind of module the labels that its cards must have."""
OPTIONAL = ("Deviations", "Parameters", "Peers", "Signal")
"""Optional labels: what differs from the published definition, and why; which settings move the result; with which
published programs a variant agrees; by what a metric of bias tells a change of bias from a loss of signal, and what it
cannot tell."""
VERBATIM = ("Formula", "Use")
_LABEL = re.compile(r"([A-Z][a-z]+(?: [a-z]+)*):(?: (.*))?")
_INDENT = "    "


@dataclass(frozen=True)
class Card:
    """What the docstring of a method, metric, task or source says."""

    kind: str
    name: str
    title: str
    """One line: what it is."""
    prose: str
    """Markdown; may be empty."""
    fields: Mapping[str, str]
    """By label, in the order in which they are written."""


def of(kind: str, name: str) -> Card:
    """The card of a registered module. Raises ValueError where its form is not that of a card."""
    return parse(kind, name, _docstring(registry.load(kind, name)))


def family(kind: str, name: str) -> str:
    """What the folder of a module's family says of itself; "" for a module that is in none."""
    folder = registry.modules(kind).family(name)
    return _docstring(import_module(f"fairshrink.{kind}.{folder}")) if folder else ""


def parse(kind: str, name: str, docstring: str) -> Card:
    """Read a docstring. Raises ValueError, naming module and line, where its form is not that of a card."""
    title, _, rest = docstring.partition("\n\n")
    prose: list[str] = []
    fields: dict[str, list[str]] = {}
    current = prose
    allowed = (*REQUIRED[kind], *OPTIONAL)
    for line in rest.splitlines():
        match = _LABEL.fullmatch(line)
        if match and match[1] in allowed:
            if match[1] in fields:
                raise ValueError(f"{kind}/{name}: `{match[1]}` is there twice")
            current = fields[match[1]] = [match[2] or ""]
        elif current is prose or not line or line.startswith(_INDENT):
            current.append(line)
        else:
            raise ValueError(f"{kind}/{name}: {line!r} follows a field: indent it by four spaces, or label it")
    if "\n" in title or not title.endswith((".", "?", "`")):
        raise ValueError(f"{kind}/{name}: the first line has to be one sentence, with an empty line after it")
    missing = [label for label in REQUIRED[kind] if not "".join(fields.get(label, [])).strip()]
    if missing:
        raise ValueError(f"{kind}/{name}: the card has no {', '.join(missing)}")
    return Card(kind, name, title, "\n".join(prose).strip(), {label: _text(lines) for label, lines in fields.items()})


def _docstring(module: ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "")


def _text(lines: list[str]) -> str:
    """The lines of a field without their common indentation."""
    return "\n".join([lines[0], textwrap.dedent("\n".join(lines[1:]))]).strip("\n")
