"""An artifact of the grid: how it is made, and from that its key and its path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairshrink import keys
from fairshrink.contracts import CodeEntry, Stage
from fairshrink.planning.definitions import code_of
from fairshrink.planning.described import described
from fairshrink.registry import Modules
from fairshrink.store.artifacts import Recipe
from fairshrink.store.layout import FOLDERS, MARKER
from fairshrink.study.jobs import StageJob


@dataclass(frozen=True)
class Artifact:
    """One keyed output; ``inputs`` are the paths of the artifacts that it is made from, by role.

    ``batch`` names the baseline that it belongs to, ``cost`` is a rough time, only to start long chains first.
    ``trains``: making it is a fine-tuning, whatever its stage. ``entries``: the definitions that its job calls.
    """

    recipe: Recipe
    job: StageJob = field(hash=False, compare=False)
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)
    batch: str = ""
    cost: int = 1
    trains: bool = False
    entries: tuple[CodeEntry, ...] = field(default=(), hash=False, compare=False)

    @property
    def stage(self) -> Stage:
        """The stage that makes it."""
        return self.recipe.stage

    @property
    def name(self) -> str:
        """Its readable name, without the key."""
        return self.recipe.name

    @property
    def key(self) -> str:
        """Its content key."""
        return self.recipe.key

    @property
    def path(self) -> str:
        """Its folder below the root."""
        return self.recipe.path

    @property
    def parts(self) -> Mapping[str, Any]:
        """What its key is computed from."""
        return self.recipe.parts

    @property
    def marker(self) -> str:
        """The file whose existence makes this artifact valid."""
        return f"{self.path}/{MARKER}"


def keyed(
    stage: Stage,
    name: str,
    entries: Sequence[CodeEntry],
    inputs: Mapping[str, Artifact],
    job: StageJob,
    *,
    params: Mapping[str, Any] | None = None,
    below: str = "",
    batch: str = "",
    cost: int = 1,
    trains: bool = False,
    runs: CodeEntry | None = None,
) -> Artifact:
    """Key an artifact by what makes it; ``entries`` are the functions that its job calls, ``below`` a subfolder.

    ``params`` are what the job is given (`described`), unless other values say it better. ``runs``: what calls them, by
    default ``run`` of the stage.
    """
    paths = {role: each.path for role, each in inputs.items()}
    called = (*entries, runs or CodeEntry(f"stages.{stage}", "run"))
    parts: dict[str, Any] = {
        "stage": stage,
        "code": code_of(called),
        "params": described(stage, job, paths) if params is None else params,
        "inputs": {role: each.key for role, each in inputs.items()},
    }
    key = keys.key(**parts)
    folder = f"{FOLDERS[stage]}/{below}" if below else FOLDERS[stage]
    recipe = Recipe(stage, name, key, f"{folder}/{name}-{key}", parts)
    return Artifact(recipe, job, paths, batch, cost, trains, called)


def entry_points(
    modules: Modules[Any], name: str, *definitions: str, optional: tuple[str, ...] = ()
) -> list[CodeEntry]:
    """Definitions that a job looks up in a module that is found by its name; ``optional`` ones may be missing."""
    path = modules.path(name)
    return [CodeEntry(path, each) for each in definitions] + [CodeEntry(path, each, False) for each in optional]
