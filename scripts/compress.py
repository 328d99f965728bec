"""Compress a baseline by one or several methods (`fairshrink run compress`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["run", "compress", *sys.argv[1:]])
