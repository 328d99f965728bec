"""Say what the next run would restore and compute, why and how long; or where a number of the tables comes from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")
    parser.add_argument("--restore", help="required, preferred or never (default: the study's)")
    parser.add_argument(
        "--cell",
        nargs="+",
        metavar="COLUMN=VALUE",
        help="rows of results.parquet to explain, e.g. model=bert metric=weat sparsity=0.5",
    )
    parser.add_argument("--offline", action="store_true", help="do not query the DVC remote for others' records")
    parser.add_argument("--json", action="store_true", help="plain values for programs")


def run(options: argparse.Namespace) -> int:
    """Print the explanation of a study's next run, or of a cell of its results. Raises UserError."""
    from fairshrink.explaining import cell, records, remaining, report
    from fairshrink.planning import grid, studies, workflow

    loaded = studies.load(options.study)
    artifacts = grid.expand(loaded)
    found = records.read()
    found += [] if options.offline else records.fetch(found)
    if options.cell:
        rows = cell.parse(options.cell, cell.results(Path(loaded.output) / loaded.name / "tables" / "results.parquet"))
        described = cell.describe(rows, artifacts, found)
        print(json.dumps(described, indent=1, default=str) if options.json else cell.as_text(described))
        return 0
    made = workflow.make(options.study, options.restore)
    explained = report.explain(made, artifacts, found, remaining.guess_of(loaded, artifacts))
    values = report.as_values(explained)
    print(json.dumps(values, indent=1) if options.json else report.as_text(explained, artifacts))
    return 0
