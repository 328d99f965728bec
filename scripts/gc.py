"""List, then remove, what no study needs: neither one of the working tree nor one of any branch or tag.

Removed are artifacts with their pointers, their objects in DVC's local cache, what interrupted runs have left, and what
`verify` has put aside. The remote is never touched. Studies of branches and tags are listed with their own code.
"""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Parse the command line."""
    from fairshrink.upkeep import gc

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only list")
    parser.add_argument("--all", action="store_true", help="list each thing, not only the first of each place")
    options = parser.parse_args()
    sys.exit(gc.main(options.yes, options.dry_run, options.all))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
