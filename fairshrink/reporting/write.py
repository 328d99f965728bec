"""Everything that people read: from the scores of a study to its tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fairshrink.analysis import results, results_file, verdicts
from fairshrink.analysis.cells import headlines
from fairshrink.analysis.results import Metrics
from fairshrink.reporting import figures, overview, page, selection, tables
from fairshrink.reporting.headline_cells import from_headlines
from fairshrink.reporting.outputs import BY_OCCUPATION, FIGURES_FOLDER, TABLES_FOLDER
from fairshrink.reporting.tables import occupations
from fairshrink.reporting.tables.all_tables import VALUE_OF
from fairshrink.study.jobs import AggregateJob


def aggregate(
    job: AggregateJob, metrics: Metrics, folder: Path, log: Callable[[str], None] = lambda line: None
) -> None:
    """Write everything that `outputs.outputs` names below ``folder``. Needs scores and provenance, no checkpoint."""
    tables_folder, figures_folder = folder / TABLES_FOLDER, folder / FIGURES_FOLDER
    tables_folder.mkdir(parents=True, exist_ok=True)
    figures_folder.mkdir(parents=True, exist_ok=True)
    log(f"reading {len(job.scores)} score tables of {len(job.checkpoints)} checkpoints")
    table, about = results.build(job, metrics), results.about(job, metrics)
    measured = results.measurements(job)
    rows = headlines(table, about)
    cells = from_headlines(rows, about)
    agreement = verdicts.agreement(rows, job.level, job.resamples)
    results_file.write(table, results_file.RESULTS, tables_folder / "results.parquet", about)
    results_file.write(cells, results_file.CELLS, tables_folder / "cells.parquet", about)
    results_file.write(measured, results_file.MEASUREMENTS, tables_folder / "measurements.parquet")
    log(f"{len(table)} rows of results; writing tables and figures")
    none = pd.DataFrame()
    extreme = by_occupation(job)
    tables.write(cells, agreement, none, none, none, table, about, tables_folder, measured, extreme)
    figures.write(cells, none, agreement, none, measured, about, figures_folder, table)
    ordered = selection.texts(cells)
    overviews = [overview.overview(ordered, task, job.level) for task in sorted(set(cells["task"]))]
    html = page.page(overviews, ordered, agreement, about)
    (tables_folder / "overview.html").write_text(html, encoding="utf-8")


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
