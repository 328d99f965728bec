"""An entry of a metric with lists of values: one entry for each, with names that tell them apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fairshrink.study.entries import Kind, axes_of, grid
from fairshrink.study.mistakes import Mistake

SHORT = re.compile(r"[A-Za-z0-9_]{1,24}")
"""A value that can be part of a name; of others the number in the list is."""


def varied(
    values: dict[str, Any], kind: Kind[Any, Any], key: str, mistakes: list[Mistake]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each combination of the listed values what is added to the entry's name, and the entry with them."""
    axes = axes_of(values, kind.modules, kind.selector)
    faults = {name: fault for name, listed in axes.items() if (fault := _fault(listed))}
    mistakes += [Mistake(f"{key}.{name}", *fault) for name, fault in faults.items()]
    if faults:
        return
    for point in grid(values, kind.modules, key, mistakes, kind.selector):
        yield "".join(_suffix(name, point[name], listed) for name, listed in axes.items()), point


def _fault(listed: list[Any]) -> tuple[str, str] | None:
    if not listed:
        return "an empty list, so that nothing would be scored", "a value, or leave the key out"
    twice = len({repr(each) for each in listed}) < len(listed)
    return ("one value is in the list twice", "each value once") if twice else None


def _suffix(name: str, value: Any, listed: list[Any]) -> str:
    """Nothing for a list of one value, which is as if there were no list."""
    if len(listed) == 1:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"_{name}_{text if SHORT.fullmatch(text) else listed.index(value) + 1}"
