"""Compress a baseline by one or several methods (`fairshrink run compress`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["run", "compress", *sys.argv[1:]])
