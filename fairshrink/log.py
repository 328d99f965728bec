"""Progress for people: plain lines with the time, the same on a terminal and in a log file."""

from __future__ import annotations

import sys
import time


def log(message: str) -> None:
    """Print one line to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def left(done: int, total: int, seconds: float) -> str:
    """How long the rest takes if it goes on like this, to be appended to a line; "" at the beginning and at the end."""
    if not 0 < done < total:
        return ""
    rest = round(seconds * (total - done) / done)
    hours, minutes = divmod(-(-rest // 60), 60)
    about = f"{rest} s" if rest < 60 else f"{minutes} min" if not hours else f"{hours} h {minutes:02} min"
    return f", about {about} left"
