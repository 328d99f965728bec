"""Write the per-item scores of a study as files that other programs, and `judge`, read.

FOLDER gets `<model>.<task>/<method and setting>/`, with a table for each metric and split and items.json, which says
what they are. `fairshrink judge FOLDER` gives the study's own rows and verdicts from them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "export-items"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("folder", metavar="FOLDER", help="where to write; it is made")
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")
    parser.add_argument(
        "--format",
        default="parquet",
        metavar="NAME",
        help="parquet (default), csv, lm-eval, inspect or every-eval-ever; columns are the same in all",
    )


def run(options: argparse.Namespace) -> int:
    """Write the files and say where. Raises UserError if scores are missing."""
    from fairshrink.judging.exporting import export_items

    folders = export_items(options.study, Path(options.folder), options.format)
    print(f"{len(folders)} checkpoints in {options.folder}")
    return 0
