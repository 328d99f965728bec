"""Reading the sections of a study that name methods: compressions, controls and doses."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator
from typing import Any, TypeVar

from fairshrink.contracts import CONTROLS, DOSE, AnyMethod
from fairshrink.errors import brief
from fairshrink.keys import canonical
from fairshrink.study.catalog import Catalog, Chosen
from fairshrink.study.entries import Kind, Parsed, few_enough, grid, read_entry
from fairshrink.study.mistakes import Mistake, checked
from fairshrink.study.schema import CompressionKeys, ControlKeys, DoseKeys
from fairshrink.study.study import CompressionEntry, ControlEntry

Keys = TypeVar("Keys", CompressionKeys, ControlKeys)
Entries = Iterable[dict[str, Any]]


def compressions(entries: Entries, catalog: Catalog, mistakes: list[Mistake]) -> Iterator[CompressionEntry]:
    """One entry for each point of each grid but chains; equal points and controls are mistakes."""
    kind = Kind("compressions", "method", named(catalog, controls=False), CompressionKeys)
    for each in _points(kind, entries, catalog, mistakes):
        yield CompressionEntry(each.module_name, each.module, each.settings, each.keys, each.explicit)


def controls(entries: Entries, catalog: Catalog, mistakes: list[Mistake]) -> Iterator[ControlEntry]:
    """One entry for each point of each grid; equal points, compressions and doses are mistakes."""
    kind = Kind("controls", "method", named(catalog, controls=True), ControlKeys)
    for each in _points(kind, entries, catalog, mistakes):
        yield ControlEntry(each.module_name, each.module, each.settings, each.keys, each.explicit)


def doses(entries: Entries, catalog: Catalog, mistakes: list[Mistake]) -> Iterator[ControlEntry]:
    """One entry for each amount and draw of each dose, which is a control; names and amounts are there once."""
    names: list[str] = []
    for position, values in enumerate(entries):
        keys: DoseKeys | None = checked(DoseKeys, values, f"doses[{position}]", mistakes)
        if keys is None:
            continue
        if keys.name in names:
            reason = f"another dose is called '{keys.name}'"
            mistakes.append(Mistake(f"doses[{position}].name", reason, "another name"))
        names.append(keys.name)
        for listed, numbers in {"amounts": keys.amounts, "dose_seed": keys.dose_seed}.items():
            if len(set(numbers)) != len(numbers):
                mistakes.append(Mistake(f"doses.{keys.name}.{listed}", "a number is there twice", "each number once"))
        if few_enough([len(keys.amounts), len(keys.dose_seed)], f"doses.{keys.name}", mistakes):
            yield from _amounts(keys, catalog)


def _amounts(keys: DoseKeys, catalog: Catalog) -> Iterator[ControlEntry]:
    module = catalog.compression[DOSE]
    where = ControlKeys(method=DOSE, models=keys.models, tasks=[keys.task], metrics=keys.metrics)
    for amount, seed in itertools.product(keys.amounts, keys.dose_seed):
        setting = f"{keys.name}={amount}" + (f",dose_seed={seed}" if len(keys.dose_seed) > 1 else "")
        settings = module.Settings(amount=amount, dose_seed=seed)
        yield ControlEntry(DOSE, module, settings, where, frozenset({"amount"}), keys.table, setting)


def named(catalog: Catalog, *, controls: bool) -> Chosen[AnyMethod]:
    """The methods that are controls and not doses, or those that are no controls."""
    modules = catalog.compression
    names = [name for name in modules.names() if (modules.family(name) == CONTROLS) == controls and name != DOSE]
    return Chosen(modules, tuple(names))


def is_chain(values: object) -> bool:
    """Whether an entry under ``compressions`` is a chain."""
    return isinstance(values, dict) and "chain" in values


def _points(
    kind: Kind[AnyMethod, Keys], entries: Entries, catalog: Catalog, mistakes: list[Mistake]
) -> Iterator[Parsed[AnyMethod, Keys]]:
    seen: dict[tuple[str, str, str], str] = {}
    for position, values in enumerate(entries):
        key, method = f"{kind.section}[{position}]", values.get("method")
        if is_chain(values) and kind.common is CompressionKeys:
            continue
        if isinstance(method, str) and method in catalog.compression and method not in kind.modules:
            mistakes.append(misplaced(method, f"{key}.method", catalog))
            continue
        check_values(values, kind.common.model_fields, key, mistakes)
        for point in grid(values, kind.modules, key, mistakes):
            each = read_entry(kind, str(method), point, key, mistakes)
            if each is None:
                continue
            for where in itertools.product(each.keys.models or ("*",), each.keys.tasks or ("*",)):
                identity = (each.module_name, canonical(each.settings.model_dump(mode="json")), str(where))
                if identity in seen:
                    reason = f"{each.module_name} with {brief(point)} is in {seen[identity]} already"
                    mistakes.append(Mistake(key, reason, "leave one of the two out"))
                    break
                seen[identity] = key
            else:
                yield each


def check_values(values: dict[str, Any], common: Container[str], key: str, mistakes: list[Mistake]) -> None:
    """Add a mistake for each setting that is an empty list; ``common`` are the keys that are no settings."""
    for name in [name for name, value in values.items() if value == [] and name not in common]:
        reason = "an empty list, so that nothing would be made of this entry"
        mistakes.append(Mistake(f"{key}.{name}", reason, "a value, or leave the entry out"))


def misplaced(method: str, key: str, catalog: Catalog) -> Mistake:
    """A control among compressions, or the other way round."""
    if method == DOSE:
        reason = f"{DOSE} needs a name, a task and a table"
        return Mistake(key, reason, "`doses:` with `name`, `task`, `table` and `amounts`")
    if catalog.compression.family(method) == CONTROLS:
        return Mistake(key, f"{method} is a control: it compresses nothing", "move it to `controls:`")
    return Mistake(key, f"{method} is a compression, no control", "move it to `compressions:`")
