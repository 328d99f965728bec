"""Progress for people: plain lines with the time, the same on a terminal and in a log file."""

from __future__ import annotations

import sys
import time


def log(message: str) -> None:
    """Print one line to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)
