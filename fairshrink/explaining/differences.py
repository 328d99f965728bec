"""What differs between an artifact that is to be computed and the most similar one that exists, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairshrink.planning.definitions import LINKS, ON_IMPORT, files

MISSING = object()
CHANGED, NEW, GONE = VERBS = ("changed", "new", "no longer used")


@dataclass(frozen=True, order=True)
class Difference:
    """One part that differs. ``kind``: parameter, code, data or input; ``where`` names it, ``change`` says how."""

    kind: str
    where: str
    change: str

    def __str__(self) -> str:
        return f"{self.where}: {self.change}" if self.where else self.change


def differences(old: Mapping[str, Any], new: Mapping[str, Any], names: Mapping[str, str]) -> list[Difference]:
    """Differences of two artifacts' ``parts``; ``names`` maps keys of inputs to their names."""
    return [
        *parameters(old["params"], new["params"]),
        *code(old["code"], new["code"], files()),
        *inputs(old["inputs"], new["inputs"], names),
    ]


def parameters(old: Any, new: Any, where: str = "") -> Iterator[Difference]:
    """Leaves that differ, by their dotted path."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            path = f"{where}.{name}" if where else str(name)
            yield from parameters(old.get(name, MISSING), new.get(name, MISSING), path)
        return
    if old is MISSING:
        change = f"new, {_short(new)}"
    elif new is MISSING:
        change = f"removed (was {_short(old)})"
    else:
        change = f"{_short(old)} → {_short(new)}"
    yield Difference("parameter", where, change)


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def code(old: Mapping[str, str], new: Mapping[str, str], files: Mapping[tuple[str, str], str]) -> Iterator[Difference]:
    """Definitions and data files that were changed, added or removed; those that are in ``files`` with their file."""
    found = False
    for name in sorted({*old, *new} - {LINKS}):
        for hash_, verb in _changes(old.get(name, ""), new.get(name, "")):
            found = True
            file, data = files.get((name, hash_), ""), name.removeprefix("file:")
            if data != name:
                yield Difference("data", file or data, verb)
            else:
                shown = "code that runs on import" if name == ON_IMPORT else name
                yield Difference("code", file, f"{shown} {verb}")
    if not found and old.get(LINKS) != new.get(LINKS):
        yield Difference("code", "", f"what names refer to {CHANGED}")


def _changes(old: str, new: str) -> Iterator[tuple[str, str]]:
    """How the definitions of one name changed: a hash and a verb each. Their hashes are joined by ``+``."""
    before, after = Counter(old.split("+") if old else []), Counter(new.split("+") if new else [])
    removed, added = [*(before - after).elements()], [*(after - before).elements()]
    yield from ((each, CHANGED) for each in added[: len(removed)])
    yield from ((each, NEW) for each in added[len(removed) :])
    yield from ((each, GONE) for each in removed[len(added) :])


def inputs(old: Mapping[str, str], new: Mapping[str, str], names: Mapping[str, str]) -> Iterator[Difference]:
    """Inputs that were replaced, added or removed, by name; ``old`` and ``new`` hold keys by role."""
    removed = list(dict.fromkeys(key for role, key in old.items() if new.get(role) != key))
    added = list(dict.fromkeys(key for role, key in new.items() if old.get(role) != key))
    for key in added:
        name = names.get(key, key)
        before = next((each for each in removed if names.get(each) == name), None)
        change = f"{before} → {key}" if before else f"new, {key}"
        yield Difference("input", name, change)
    if not added:
        for key in removed:
            yield Difference("input", names.get(key, key), f"removed (was {key})")
