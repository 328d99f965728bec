"""Write the generated files of docs/ (`fairshrink docs`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["docs", *sys.argv[1:]])
