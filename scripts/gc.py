"""List, then remove, what no study needs (`fairshrink gc`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["gc", *sys.argv[1:]])
