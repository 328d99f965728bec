"""Check artifacts against their records (`fairshrink verify`)."""

import sys

from fairshrink.commands.main import process

if __name__ == "__main__":
    process(["verify", *sys.argv[1:]])
