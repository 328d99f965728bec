"""The analysis of a study in one call: from its scores to every table of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fairshrink.analysis import flips, results
from fairshrink.analysis.agreement import agreement
from fairshrink.analysis.cells import cells
from fairshrink.analysis.degeneracy import degeneracy
from fairshrink.analysis.known import labels, place
from fairshrink.analysis.scores import Metrics
from fairshrink.analysis.validity import validity
from fairshrink.stats.signals import Margin
from fairshrink.study.jobs import AggregateJob


@dataclass(frozen=True)
class Analysis:
    """The numbers of a study; columns as in `results_file` and in the modules that make the tables."""

    results: pd.DataFrame
    cells: pd.DataFrame
    agreement: pd.DataFrame
    flips: pd.DataFrame
    degeneracy: pd.DataFrame
    validity: pd.DataFrame
    measurements: pd.DataFrame


def analyze(job: AggregateJob, metrics: Metrics) -> Analysis:
    """Everything that tables, figures and report show. Raises UserError as `results.build` does."""
    table, headlines = results.build(job, metrics)
    tested = {(each.model, each.task, each.metric): each.outcome for each in job.validity}
    margins = {name: Margin(value) for name, value in job.margins.items()}
    judged = cells(headlines, job.level, margins, results.ledgers(job), tested)
    named = labels(headlines)
    alarms = degeneracy(judged)
    return Analysis(
        results=table,
        cells=judged,
        agreement=agreement(headlines, named, job.level),
        flips=flips.table(
            [(place(each), named[id(each)], each.identity.method_family, each.flips) for each in headlines]
        ),
        degeneracy=alarms,
        validity=validity(judged, alarms, table),
        measurements=results.measurements(job),
    )
