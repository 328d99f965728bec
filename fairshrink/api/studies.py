"""Studies, their tasks and their published results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.data.examples import Task
from fairshrink.errors import UserError
from fairshrink.planning import grid, studies
from fairshrink.stages import opening
from fairshrink.study.jobs import FinetuneJob
from fairshrink.study.study import Study

if TYPE_CHECKING:
    from pandas import DataFrame

RESULTS = "results.parquet"


def load_study(path: Path | str) -> Study:
    """Read and validate a study. Raises UserError."""
    return studies.load(path)


def open_task(study: Study | Path | str, task: str, split: int) -> Task:
    """The task as jobs get it. Raises UserError."""
    loaded = study if isinstance(study, Study) else load_study(study)
    jobs = [each.job for each in grid.expand(loaded).values() if isinstance(each.job, FinetuneJob)]
    given = {(each.task.name, each.task.split): each.task for each in jobs}
    if (task, split) not in given:
        there = ", ".join(f"{name} (split {number})" for name, number in sorted(given))
        raise UserError(f"{loaded.file}: it uses no task '{task}' with split {split}; there is {there}")
    return opening.open_task(given[task, split])


def read_results(source: Study | Path | str) -> DataFrame:
    """The results table of a study, a folder or a file. Raises UserError."""
    from fairshrink.analysis import results_file

    path = _results(source)
    with results_file.readable(path):
        return results_file.read(path)[0]


def _results(source: Study | Path | str) -> Path:
    if isinstance(source, Study):
        # Not below `output`: another version of the study, or another study, may be shown there.
        return Path(grid.expand(source).tables.path) / "tables" / RESULTS
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return _results(load_study(path))
    return path / RESULTS if path.is_dir() else path
