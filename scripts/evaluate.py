"""Score checkpoints with the metrics that they miss (`fairshrink run evaluate`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["run", "evaluate", *sys.argv[1:]])
