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
        wrong = mistakes_in(use, Path(path))
        found += wrong
        if not wrong:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    return list(dict.fromkeys(found))
