"""Upload recorded artifacts that are in DVC's cache here and missing in its default remote, for others to restore.

Exit status: 1 if some artifacts could not be recorded or uploaded.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--study", default="config.yaml", help="study file whose artifacts are recorded first")


def run(options: argparse.Namespace) -> int:
    """Record, upload, report. Raises UserError."""
    from fairshrink.planning import grid, studies
    from fairshrink.remote import sharing

    done = sharing.share(grid.expand(studies.load(options.study)))
    print(sharing.report(done))
    return int(bool(done.damaged or done.unrecorded))
