"""Being asked to end: SIGTERM is noted, so that work can stop where it suits.

Slurm sends SIGTERM some seconds before SIGKILL, at pre-emption and at the time limit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STATUS = 128 + signal.SIGTERM
"""What a shell reports for a process that SIGTERM has ended."""


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM is only noted; yields what tells whether it came.

    Afterwards the handler from before is back, and gets the request if the block ended as if there had been none.
    Only the main thread can handle signals: in others nothing changes and the answer is always False.
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
