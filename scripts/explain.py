"""Say what the next run would restore and compute, why and how long; or where a number of the tables is from."""

import argparse
import json
import sys
from pathlib import Path


def main() -> None:
    """Print the explanation of a study's next run, or of a cell of its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")
    parser.add_argument("--restore", help="required, preferred or never (default: the study's)")
    parser.add_argument(
        "--cell",
        nargs="+",
        metavar="COLUMN=VALUE",
        help="rows of results.parquet to explain, e.g. model=bert metric=weat sparsity=0.5",
    )
    parser.add_argument("--offline", action="store_true", help="do not ask the DVC remote for others' records")
    parser.add_argument("--json", action="store_true", help="plain values for programs")
    options = parser.parse_args()
    from fairshrink.errors import UserError

    try:
        print(answer(options))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def answer(options: argparse.Namespace) -> str:
    """The text to print. Raises UserError."""
    from fairshrink.explaining import cell, records, report
    from fairshrink.planning import grid, workflow
    from fairshrink.study import reader

    loaded = reader.load(options.study)
    artifacts = grid.expand(loaded)
    found = records.read()
    found += [] if options.offline else records.fetch(found)
    if options.cell:
        rows = cell.parse(options.cell, cell.results(Path(loaded.output) / "tables" / "results.parquet"))
        described = cell.describe(rows, artifacts, found)
        return json.dumps(described, indent=1, default=str) if options.json else cell.as_text(described)
    explained = report.explain(workflow.make(options.study, options.restore), artifacts, found)
    return json.dumps(report.as_values(explained), indent=1) if options.json else report.as_text(explained, artifacts)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
