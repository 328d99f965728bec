"""Reading chains under ``compressions``: several methods, one after another."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from fairshrink.keys import canonical
from fairshrink.settings import Settings
from fairshrink.study.catalog import Catalog
from fairshrink.study.entries import Kind, few_enough, grid, read_entry
from fairshrink.study.methods import check_values, is_chain, misplaced, named
from fairshrink.study.mistakes import Mistake, checked
from fairshrink.study.schema import ChainKeys, CompressionKeys
from fairshrink.study.study import ChainEntry, CompressionEntry


class NoKeys(Settings):
    """A step has no keys but its method and settings: models and tasks are the chain's."""


def chains(entries: Iterable[dict[str, Any]], catalog: Catalog, mistakes: list[Mistake]) -> Iterator[ChainEntry]:
    """One entry for each point of each chain's grid; equal chains and names that are taken are mistakes."""
    seen: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    for position, values in enumerate(entries):
        if not is_chain(values):
            continue
        key = f"compressions[{position}]"
        keys: ChainKeys | None = checked(ChainKeys, values, key, mistakes)
        if keys is None:
            continue
        _check_name(keys, catalog, names, key, mistakes)
        options = [
            list(_steps(step, keys, catalog, f"{key}.chain[{number}]", mistakes))
            for number, step in enumerate(keys.chain)
        ]
        if not few_enough(map(len, options), key, mistakes):
            continue
        for steps in itertools.product(*options):
            if not _is_twice(steps, keys, key, seen, mistakes):
                yield ChainEntry(steps, keys)


def _check_name(keys: ChainKeys, catalog: Catalog, names: set[str], key: str, mistakes: list[Mistake]) -> None:
    if keys.name is None:
        return
    if keys.name in names or keys.name in catalog.compression:
        whose = "another chain" if keys.name in names else "a method"
        mistakes.append(Mistake(f"{key}.name", f"{whose} is called '{keys.name}'", "another name"))
    names.add(keys.name)


def _steps(
    values: dict[str, Any], keys: ChainKeys, catalog: Catalog, key: str, mistakes: list[Mistake]
) -> Iterator[CompressionEntry]:
    """The points of one step's grid."""
    kind = Kind("compressions", "method", named(catalog, controls=False), NoKeys)
    method = values.get("method")
    if isinstance(method, str) and method in catalog.compression and method not in kind.modules:
        reason = misplaced(method, key, catalog).reason
        mistakes.append(Mistake(f"{key}.method", reason, "a compression, or leave the step out"))
        return
    check_values(values, (), key, mistakes)
    where = CompressionKeys(method=str(method), models=keys.models, tasks=keys.tasks)
    for point in grid(values, kind.modules, key, mistakes):
        each = read_entry(kind, str(method), point, key, mistakes)
        if each is not None:
            yield CompressionEntry(each.module_name, each.module, each.settings, where, each.explicit)


def _is_twice(
    steps: tuple[CompressionEntry, ...],
    keys: ChainKeys,
    key: str,
    seen: dict[tuple[str, str], str],
    mistakes: list[Mistake],
) -> bool:
    """Whether the same chain is there for the same model and task already, which is a mistake."""
    said = canonical([[each.method, each.settings.model_dump(mode="json")] for each in steps])
    for where in itertools.product(keys.models or ("*",), keys.tasks or ("*",)):
        if (said, str(where)) in seen:
            reason = f"the same chain is in {seen[said, str(where)]} already"
            mistakes.append(Mistake(key, reason, "leave one of the two out"))
            return True
        seen[said, str(where)] = key
    return False
