"""Everything that people read: from the scores of a study to its tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairshrink.analysis import results, results_file
from fairshrink.analysis.results import Metrics
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
    table, headlines = results.build(job, metrics)
    about = results.about(job, metrics)
    results_file.write(table, results_file.RESULTS, tables_folder / "results.parquet", about)
    margins = {name: Margin(value) for name, value in job.margins.items()}
    passed = {(each.model, each.task, each.metric): "passed" if each.passed else "failed" for each in job.validity}
    judged = cells(headlines, job.level, margins, results.ledgers(job), passed)
    results_file.write(judged, results_file.CELLS, tables_folder / "cells.parquet", about)
    results_file.write(results.measurements(job), results_file.MEASUREMENTS, tables_folder / "measurements.parquet")
    log(f"{len(table)} rows of results; writing tables and figures")
    tables.write(tables_folder / "results.parquet", tables_folder)
    figures.write(tables_folder / "results.parquet", figures_folder)
