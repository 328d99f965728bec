"""Fetch a download of the study and check it against its pin (`fairshrink run download`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["run", "download", *sys.argv[1:]])
