"""Downloads that have arrived: is in them what the study uses? Looked at before anything is trained with them.

A job looks right after it has fetched or restored one; planning looks at those that are here already. A download is
kept whatever is found: its bytes are those of its pin, it is the study that has to be changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from fairshrink import keys
from fairshrink.planning.grid import Grid
from fairshrink.planning.plan import Plan
from fairshrink.registry import CATALOG
from fairshrink.store import artifacts
from fairshrink.study.mistakes import Mistake, StudyError
from fairshrink.study.uses import Use, mistakes_in

CHECKED = Path(".snakemake/fairshrink/checked")
"""An empty file for each use that was found to be right, so that large tables are not read by every plan."""
_VALUES: TypeAdapter[Use] = TypeAdapter(Use)


def check(study: str, expected: Iterable[tuple[str, Use]]) -> None:
    """Check downloads that a job has just made. Raises StudyError with all mistakes."""
    found = _mistakes(expected)
    if found:
        raise StudyError(f"study {study}", found, "the download is complete, and nothing was trained with it")


def check_sources(file: str, plan: Plan, grid: Grid) -> None:
    """Check that what is to be copied from this machine is on it. Raises StudyError.

    A local source that is not need not be, as long as all that is made from it exists or can be restored.
    """
    found = []
    for path in plan.computed:
        root = grid.local.get(path)
        if root is not None and not root.exists():
            name, needed = grid[path].name, len(plan.computed) - 1
            reason = f"{root}: this local source does not exist, and of what is made from it not all can be restored"
            remedy = f"put it there, name its `path`, or have its owner share {path} and what is made from it"
            found.append(
                Mistake(f"downloads.{name}", reason, f"{remedy} ({needed} other artifacts are to be computed)")
            )
    if found:
        raise StudyError(file, found)


def check_here(file: str, plan: Plan, grid: Grid) -> None:
    """Check downloads that are here and that something will be computed from. Raises StudyError with all mistakes.

    Local sources that are here have been read already when the study was validated.
    """
    needed = dict.fromkeys(path for each in plan.computed for path in grid[each].inputs.values())
    here = [path for path in needed if path in grid.uses and artifacts.exists(Path(path))]
    fetched = [path for path in here if path not in grid.local or not grid.local[path].exists()]
    found = _mistakes((path, use) for path in fetched for use in grid.uses[path])
    if found:
        raise StudyError(file, found)


def _mistakes(expected: Iterable[tuple[str, Use]]) -> list[Mistake]:
    found: list[Mistake] = []
    for path, use in expected:
        mark = CHECKED / keys.digest([path, _VALUES.dump_python(use, mode="json")])
        if mark.is_file():
            continue
        wrong = mistakes_in(use, Path(path), CATALOG)
        found += wrong
        if not wrong:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    return list(dict.fromkeys(found))
