"""List, then remove, what no study needs (`fairshrink gc`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["gc", *sys.argv[1:]])
