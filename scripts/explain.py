"""Say what the next run would restore and compute, why and how long (`fairshrink explain`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["explain", *sys.argv[1:]])
