"""Reading one entry of a study: the module that it names, its settings, and the keys that all of its section have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, get_origin

from pydantic import BaseModel

from fairshrink.errors import brief
from fairshrink.study.catalog import ModulesOf
from fairshrink.study.mistakes import Mistake, checked, suggestion

M = TypeVar("M", bound="HasSettings")
K = TypeVar("K", bound=BaseModel)
MOST_POINTS = 10_000
"""Of the grid of one entry: more checkpoints of one baseline than anyone computes."""


class HasSettings(Protocol):
    """A module with a class that validates its settings."""

    @property
    def Settings(self) -> type[BaseModel]:  # noqa: N802
        """The class."""


@dataclass(frozen=True)
class Kind(Generic[M, K]):
    """How entries of a section are read: their modules, the key that names a module, the keys common to all entries."""

    section: str
    selector: str
    modules: ModulesOf[M]
    common: type[K]


@dataclass(frozen=True)
class Parsed(Generic[M, K]):
    """An entry whose values are valid one by one."""

    name: str
    module_name: str
    module: M
    settings: Any
    keys: K
    explicit: frozenset[str]


def read_entry(kind: Kind[M, K], name: str, values: object, key: str, mistakes: list[Mistake]) -> Parsed[M, K] | None:
    """The entry, or None with its mistakes added."""
    selector, modules = kind.selector, kind.modules
    stated: Mapping[str, Any] = values if isinstance(values, dict) else {}
    module_name = stated.get(selector)
    if not isinstance(module_name, str):
        known = suggestion("", modules.names())
        reason = f"{brief(module_name)} is no name" if selector in stated else "this key is missing"
        mistakes.append(Mistake(f"{key}.{selector}", reason, f"`{selector}: NAME` with {known}"))
        return None
    if module_name not in modules:
        remedy = suggestion(module_name, modules.names())
        mistakes.append(Mistake(f"{key}.{selector}", f"there is no {selector} '{module_name}'", remedy))
        return None
    module = modules[module_name]
    shared = {k: v for k, v in stated.items() if k in kind.common.model_fields}
    own = {k: v for k, v in stated.items() if k not in kind.common.model_fields and k != selector}
    keys = checked(kind.common, shared, key, mistakes)
    settings = checked(module.Settings, own, key, mistakes, also=kind.common.model_fields)
    if keys is None or settings is None:
        return None
    return Parsed(name, module_name, module, settings, keys, frozenset(own))


def axes_of(values: Mapping[str, Any], modules: ModulesOf[Any], selector: str) -> dict[str, list[Any]]:
    """The settings of an entry for which a list of values is stated, where the setting itself is no list."""
    module = values.get(selector)
    fields = modules[module].Settings.model_fields if isinstance(module, str) and module in modules else {}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, list) and name in fields and get_origin(fields[name].annotation) not in (list, tuple)
    }


def grid(
    values: dict[str, Any], modules: ModulesOf[Any], key: str, mistakes: list[Mistake], selector: str = "method"
) -> Iterator[dict[str, Any]]:
    """The points of an entry in which a list of values stands for one setting each; too many are a mistake."""
    axes = axes_of(values, modules, selector)
    if few_enough([len(each) for each in axes.values()], key, mistakes):
        for point in itertools.product(*axes.values()):
            yield values | dict(zip(axes, point, strict=True))


def few_enough(lengths: Iterable[int], key: str, mistakes: list[Mistake]) -> bool:
    """Whether lists of these lengths make a grid that can be computed; else it is a mistake."""
    points = math.prod(lengths)
    if points > MOST_POINTS:
        reason = f"its lists of values make {points:,} combinations"
        mistakes.append(Mistake(key, reason, f"at most {MOST_POINTS:,}, with fewer values"))
    return points <= MOST_POINTS
