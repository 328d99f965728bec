"""Everything that people read: from the scores of a study to its tables, figures and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from fairshrink.analysis import results, results_file, study
from fairshrink.analysis.over_settings import over_settings
from fairshrink.analysis.scores import Metrics
from fairshrink.reporting import figures, report, tables
from fairshrink.reporting.outputs import BY_OCCUPATION, FIGURES_FOLDER, REPORT, TABLES_FOLDER, several_settings
from fairshrink.reporting.report import sources
from fairshrink.reporting.tables import occupations
from fairshrink.reporting.tables import over_settings as settings_table
from fairshrink.reporting.tables.all_tables import VALUE_OF
from fairshrink.study.jobs import AggregateJob


def aggregate(
    job: AggregateJob,
    metrics: Metrics,
    folder: Path,
    log: Callable[[str], None] = lambda line: None,
    missing: Sequence[Mapping[str, object]] = (),
) -> None:
    """Write everything that `outputs.outputs` names below ``folder``. Needs scores and provenance, no checkpoint.

    ``missing``: of a partial answer, the scores that it lacks, for the page (`reporting.partial`).
    """
    tables_folder, figures_folder = folder / TABLES_FOLDER, folder / FIGURES_FOLDER
    tables_folder.mkdir(parents=True, exist_ok=True)
    figures_folder.mkdir(parents=True, exist_ok=True)
    log(f"reading {len(job.scores)} score tables of {len(job.checkpoints)} checkpoints")
    found, about = study.analyze(job, metrics), results.about(job, metrics)
    results_file.write(found.results, results_file.RESULTS, tables_folder / "results.parquet", about)
    results_file.write(found.cells, results_file.CELLS, tables_folder / "cells.parquet", about)
    results_file.write(found.measurements, results_file.MEASUREMENTS, tables_folder / "measurements.parquet")
    log(f"{len(found.results)} rows of results; writing tables, figures and the report")
    cells, measured = found.cells, found.measurements
    of_others = (found.agreement, found.flips, found.degeneracy, found.validity)
    tables.write(cells, *of_others, found.results, about, tables_folder, measured, by_occupation(job))
    if several_settings(job.scores):
        settings_table.write(over_settings(job, metrics), job.level, tables_folder)
    figures.write(cells, found.flips, found.agreement, found.validity, measured, about, figures_folder, found.results)
    described = {**about, "checkpoints": sources.checkpoints(job), "missing": list(missing)}
    report.write(folder / REPORT, cells, *of_others, measured, sources.telling_items(job, metrics), described)


def by_occupation(job: AggregateJob) -> dict[str, pd.DataFrame]:
    """The most extreme occupations of each cell, by the name of the metric in the study, for metrics that have them."""
    identity = {each.key: each.identity for each in job.checkpoints}
    found = {}
    for entry, module in sorted({(each.entry, each.metric) for each in job.scores}):
        if module not in BY_OCCUPATION:
            continue
        splits: dict[tuple[str, str, str, str], list[pd.DataFrame]] = {}
        for score in (each for each in job.scores if each.entry == entry):
            here = identity[score.checkpoint]
            place = (here.model, here.task, here.method, here.setting)
            splits.setdefault(place, []).append(with_value(results_file.read_items(Path(score.path)), module))
        scored = [(place, pd.concat(parts, ignore_index=True)) for place, parts in sorted(splits.items())]
        found[entry] = occupations.of_checkpoints(scored, entry, "cluster", VALUE_OF[module][0], level=job.level)
    return found


def with_value(items: pd.DataFrame, module: str) -> pd.DataFrame:
    """Items of Bias-NLI or Bias-STS with the column that is averaged by occupation (their clusters)."""
    if module == "bias_sts":
        items = items.assign(difference=items["similarity_man"] - items["similarity_woman"])
    return items[["item", "cluster", VALUE_OF[module][0]]]
