"""Requests to terminate: SIGTERM is recorded, so that work can stop at a suitable point.

Slurm sends SIGTERM some seconds before SIGKILL, at pre-emption and at the time limit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STATUS = 128 + signal.SIGTERM
"""The status that a shell reports for a process that was ended by SIGTERM."""


@contextmanager
def recorded() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM is only recorded; yields a function that tells whether it was received.

    Afterwards the previous handler is restored, and gets the signal if the block ended normally in spite of it. Only
    the main thread can handle signals: in other threads nothing changes and the function always returns False.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    # A list, since a lock could be taken twice when a second signal interrupts the handler.
    requests: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: requests.append(number))
    try:
        yield lambda: bool(requests)
    finally:
        # None is a handler that was not installed from Python.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if previous is None else previous)
    if requests:
        signal.raise_signal(signal.SIGTERM)
