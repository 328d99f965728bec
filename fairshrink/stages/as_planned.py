"""Nothing gets a name that says something else: what a job does is compared with the keys of its artifacts.

Keys are computed when a run is planned; jobs read the package, the plan and their inputs later. Before an artifact is
recorded, the files of the package must still be those that the keys were computed from, or at least the definitions
that the artifact's job calls. And a job may load no module of the package that the keys of its artifacts do not cover.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fairshrink import keys
from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.planning import definitions, package_files
from fairshrink.planning.modules import PACKAGE, parse
from fairshrink.planning.plan import Order
from fairshrink.planning.reading import is_in
from fairshrink.store.artifacts import Recipe
from fairshrink.study.jobs import StageJob

BY_INPUTS = frozenset({"models.stored_forms"})
"""Modules that the keys of a job's inputs cover, with what they use: a checkpoint's form is code of what wrote it."""


@dataclass(frozen=True)
class AsPlanned:
    """The keys of a job's artifacts, and what they were computed from.

    ``package``: `package_files.state` when the run was planned. ``entries``: what the job of each artifact calls, by
    key. ``loaded``: modules that were there before the job's own.
    """

    package: str
    entries: Mapping[str, tuple[CodeEntry, ...]]
    loaded: frozenset[str] = frozenset()

    def check(self, recipe: Recipe) -> None:
        """UserError if an artifact made now would not be what its key says."""
        if not recipe.path.endswith(f"/{recipe.name}-{recipe.key}") or keys.key(**recipe.parts) != recipe.key:
            raise UserError(f"{recipe.path}: the key is not that of what the plan says; run again")
        entries = self.entries[recipe.key]
        if not entries:
            return
        if package_files.state() != self.package:
            definitions.forget()
            changed = _changed(recipe.parts["code"], definitions.code_of(entries))
            if changed:
                raise UserError(
                    f"{recipe.path}: {', '.join(changed)} changed after this run was planned, so nothing is recorded "
                    "under a key that says otherwise. Run again, and leave the code alone until the run has ended."
                )
        if unknown := self._unknown():
            raise UserError(
                f"{recipe.path}: its job loaded {', '.join(unknown)}, whose code no key covers. Import it in a way "
                "that can be followed (docs/recomputing.md, What counts as code)."
            )

    def _unknown(self) -> list[str]:
        prefix = f"{PACKAGE.name}."
        new = {name.removeprefix(prefix) for name in set(sys.modules) - self.loaded if name.startswith(prefix)}
        if not new:
            return []
        covered = frozenset[str]().union(*map(definitions.modules_of, set(self.entries.values())))
        forms = tuple(CodeEntry(name, "apply", False) for name in sorted(new) if is_in(name, BY_INPUTS))
        covered |= definitions.modules_of(forms)
        unknown = (name for name in new - covered if not is_in(name, definitions.INERT | BY_INPUTS))
        return sorted(name for name in unknown if _has_code(name))


def _has_code(name: str) -> bool:
    """False for the packages that hold nothing but modules, which are loaded with these."""
    module = parse(name)
    return bool(module.statements or module.definitions or module.imports)


def of(package: str, orders: Iterable[Order[StageJob]]) -> AsPlanned:
    """What the artifacts of a job have to be; to be called before the job's own modules are imported."""
    return AsPlanned(package, {each.recipe.key: each.entries for each in orders}, frozenset(sys.modules))


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of the definitions that differ, at most five."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    named = [name for name in names if name != definitions.LINKS] or names
    return named if len(named) <= 5 else [*named[:5], "…"]
