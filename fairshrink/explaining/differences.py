"""What differs between an artifact that is to be computed and the nearest one that exists, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MISSING = object()
VERBS = ("changed", "new", "no longer used")


@dataclass(frozen=True, order=True)
class Difference:
    """One part that differs. ``kind``: parameter, code, data or input; ``where`` names it, ``change`` says how."""

    kind: str
    where: str
    change: str

    def __str__(self) -> str:
        return f"{self.where}: {self.change}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any], names: Mapping[str, str]) -> list[Difference]:
    """Differences of two artifacts' ``parts``; ``names`` tells the names of inputs by their keys."""
    return [
        *parameters(old["params"], new["params"]),
        *code(old["code"], new["code"]),
        *inputs(old["inputs"], new["inputs"], names),
    ]


def parameters(old: Any, new: Any, where: str = "") -> Iterator[Difference]:
    """Leaves that differ, by their dotted path."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            place = f"{where}.{name}" if where else str(name)
            yield from parameters(old.get(name, MISSING), new.get(name, MISSING), place)
        return
    if old is MISSING:
        change = f"new, {_short(new)}"
    elif new is MISSING:
        change = f"no longer there (was {_short(old)})"
    else:
        change = f"{_short(old)} → {_short(new)}"
    yield Difference("parameter", where, change)


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def code(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    """Definitions and data files that were changed, added or removed."""
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        change = VERBS[0] if name in old and name in new else VERBS[1] if name in new else VERBS[2]
        module, _, definition = name.partition(":")
        if module == "file":
            yield Difference("data", f"fairshrink/{definition}", change)
        else:
            file = f"fairshrink/{module.replace('.', '/')}.py"
            yield Difference("code", file, f"{definition or 'what runs on import'} {change}")


def inputs(old: list[str], new: list[str], names: Mapping[str, str]) -> Iterator[Difference]:
    """Inputs that were exchanged, by name."""
    gone, come = [key for key in old if key not in new], [key for key in new if key not in old]
    for key in come:
        name = names.get(key, key)
        before = next((each for each in gone if names.get(each) == name), None)
        change = f"{before} → {key}" if before else f"new, {key}"
        yield Difference("input", name, change)
    if not come:
        for key in gone:
            yield Difference("input", names.get(key, key), f"no longer there (was {key})")
