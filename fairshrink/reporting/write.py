"""Everything that people read: from the scores of a study to its tables, figures and report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairshrink.analysis import results, results_file, study
from fairshrink.analysis.scores import Metrics
from fairshrink.reporting import figures, tables
from fairshrink.reporting.outputs import FIGURES_FOLDER, TABLES_FOLDER
from fairshrink.study.jobs import AggregateJob


def aggregate(
    job: AggregateJob, metrics: Metrics, folder: Path, log: Callable[[str], None] = lambda line: None
) -> None:
    """Write everything that `outputs.outputs` names below ``folder``. Needs scores and provenance, no checkpoint."""
    tables_folder, figures_folder = folder / TABLES_FOLDER, folder / FIGURES_FOLDER
    tables_folder.mkdir(parents=True, exist_ok=True)
    figures_folder.mkdir(parents=True, exist_ok=True)
    log(f"reading {len(job.scores)} score tables of {len(job.checkpoints)} checkpoints")
    found = study.analyze(job, metrics)
    about = results.about(job, metrics)
    results_file.write(found.results, results_file.RESULTS, tables_folder / "results.parquet", about)
    results_file.write(found.cells, results_file.CELLS, tables_folder / "cells.parquet", about)
    results_file.write(found.measurements, results_file.MEASUREMENTS, tables_folder / "measurements.parquet")
    log(f"{len(found.results)} rows of results; writing tables, figures and the report")
    tables.write(found, about, tables_folder)
    figures.write(found, about, figures_folder)
