"""Score checkpoints with the metrics that they miss (`fairshrink run evaluate`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["run", "evaluate", *sys.argv[1:]])
