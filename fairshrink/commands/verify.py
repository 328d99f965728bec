"""Check that artifacts are what was recorded; quarantine damaged and mismatched ones, for the next run to replace.

Exit status: 0 if all is well, 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("artifacts", nargs="*", help="artifacts, folders or quoted globs (default: all artifacts)")
    parser.add_argument("--check", action="store_true", help="only report; move and remove nothing")
    parser.add_argument("--threads", type=int, help="files read at a time (default: one per processor, at most 8)")


def run(options: argparse.Namespace) -> int:
    """Check, quarantine, report. Raises UserError."""
    from fairshrink.upkeep import verify

    report = verify.verify(Path(), options.artifacts, check=options.check, threads=options.threads)
    print(verify.text(report))
    return int(not report.is_clean)
