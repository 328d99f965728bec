"""List, then remove, what no study needs: neither one of the working tree nor one of any branch or tag.

It removes artifacts with their pointers, their objects in DVC's local cache, leftovers of interrupted runs, and what
`verify` has quarantined. The remote is never touched. Studies of branches and tags are listed with their own code.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

NAME = "gc"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only list")
    parser.add_argument("--all", action="store_true", help="list every item, not only the first of each group")


def run(options: argparse.Namespace) -> int:
    """List, ask, remove in the current folder. Raises UserError."""
    from fairshrink.upkeep import gc

    try:
        terminal = sys.stdin.isatty()
        gc.collect(Path(), yes=options.yes, dry_run=options.dry_run, every=options.all, terminal=terminal)
    except EOFError:
        print("\nNothing was removed.")
    return 0
