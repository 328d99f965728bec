"""Check artifacts against their records (`fairshrink verify`)."""

import sys

from fairshrink.commands.main import main

if __name__ == "__main__":
    main(["verify", *sys.argv[1:]])
