"""Tables, figures and a report of what exists, with what is missing named: after a run in which something failed.

They are written to results/<study>/partial/ and are never recorded as the study's answer.
`make partial` runs all that can be made first: `snakemake --keep-going`, twice, as what shared a job with something
that failed is continued by the second run.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")


def run(options: argparse.Namespace) -> int:
    """Write them and print the path of the report, and what is missing. Raises UserError if nothing can be shown."""
    from fairshrink.explaining import missing

    print(missing.show(options.study))
    return 0
