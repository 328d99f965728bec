"""The files that the analysis writes, known before anything has run. Imports only the standard library."""

from __future__ import annotations

from collections.abc import Iterable

from fairshrink.study.jobs import CheckpointEntry

STUDY_TABLES = (
    "results.parquet",
    "measurements.parquet",
    "headline.json",
    "verdicts.csv",
    "agreement.csv",
    "bias_by_sparsity.csv",
    "overview.html",
)
TASK_TABLES = ("csv", "md", "tex")
FIGURES = ("bias_by_sparsity", "bias_by_task_score")
FORMATS = ("png", "svg")


TABLES_FOLDER, FIGURES_FOLDER = "tables", "figures"


def tables(tasks: Iterable[str]) -> list[str]:
    """Names of the tables of a study with these tasks."""
    return [*STUDY_TABLES, *(f"overview_{task}.{ending}" for task in sorted(set(tasks)) for ending in TASK_TABLES)]


def figures(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Names of the figures of a study with these (model, task) pairs."""
    return [
        f"{model}_{task}_{figure}.{ending}"
        for model, task in sorted(set(pairs))
        for figure in FIGURES
        for ending in FORMATS
    ]


def outputs(checkpoints: Iterable[CheckpointEntry]) -> list[str]:
    """Paths of all that is made for these checkpoints, below the artifact, in a fixed order."""
    pairs = {(each.identity.model, each.identity.task) for each in checkpoints}
    named = [f"{TABLES_FOLDER}/{name}" for name in tables(task for _, task in pairs)]
    return named + [f"{FIGURES_FOLDER}/{name}" for name in figures(pairs)]
