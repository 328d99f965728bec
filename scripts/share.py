"""Upload what others do not have yet: every recorded artifact that is in DVC's cache here, to DVC's default remote."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Record, upload, report. Exit status 1 where something of it was not possible."""
    from fairshrink.errors import UserError
    from fairshrink.planning import grid
    from fairshrink.remote import sharing
    from fairshrink.study import reader

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="config.yaml", help="study file whose artifacts are recorded first")
    options = parser.parse_args()
    try:
        done = sharing.share(grid.expand(reader.load(options.study)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(sharing.report(done))
    sys.exit(1 if done.damaged or done.unrecorded else 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
