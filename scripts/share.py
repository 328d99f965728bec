"""Upload what others do not have yet to DVC's default remote (`fairshrink share`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["share", *sys.argv[1:]])
