"""Fetch a download of the study and check it against its pin (`fairshrink run download`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["run", "download", *sys.argv[1:]])
