"""Write the generated files of docs/ (`fairshrink docs`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["docs", *sys.argv[1:]])
