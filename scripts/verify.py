"""Check that artifacts still are what was recorded; move damaged and foreign ones aside, for the next run to replace.

Exit status: 0 if all is well, 1 if anything is wrong.
"""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Check, mend, report."""
    from fairshrink.errors import UserError
    from fairshrink.upkeep import verify

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="*", help="folders, places or quoted globs (default: all artifacts)")
    parser.add_argument("--check", action="store_true", help="only report; move and remove nothing")
    parser.add_argument("--threads", type=int, help="files read at a time (default: one per processor, at most 8)")
    options = parser.parse_args()
    try:
        report = verify.verify(Path(), options.artifacts, check=options.check, threads=options.threads)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(verify.text(report))
    sys.exit(0 if report.is_clean else 1)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
