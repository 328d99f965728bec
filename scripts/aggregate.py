"""Build the final tables and figures from per-item scores (`fairshrink run aggregate`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["run", "aggregate", *sys.argv[1:]])
