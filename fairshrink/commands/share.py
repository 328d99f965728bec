"""Upload what others do not have yet: every recorded artifact that is in DVC's cache here, to DVC's default remote.

Exit status: 1 where something of it was not possible.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--study", default="config.yaml", help="study file whose artifacts are recorded first")


def run(options: argparse.Namespace) -> int:
    """Record, upload, report. Raises UserError."""
    from fairshrink.planning import grid
    from fairshrink.remote import sharing
    from fairshrink.study import reader

    done = sharing.share(grid.expand(reader.load(options.study)))
    print(sharing.report(done))
    return int(bool(done.damaged or done.unrecorded))
