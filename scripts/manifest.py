"""List the artifacts of one stage that the study rests on, for DVC to watch (`fairshrink manifest`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["manifest", *sys.argv[1:]])
