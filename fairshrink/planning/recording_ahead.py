"""Recording by DVC while the tables are made, which leave every core but one idle.

DVC takes a tenth of a second for each artifact, one after the other. When the last score is there nothing but the
tables is left to make, so that all else can be recorded meanwhile instead of after them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from fairshrink.planning.plan import Plan
from fairshrink.remote import pointers

WAIT_S = 1.0


class Recorder:
    """Records the artifacts of a plan but for its tables as soon as all that the tables are made of is there.

    `finish` ends it and records the rest. Nothing is recorded ahead if the plan has no tables to make.
    """

    def __init__(self, plan: Plan, record: Callable[..., list[str]] | None = None, wait: float = WAIT_S) -> None:
        self._plan, self._record, self._wait = plan, record or pointers.record, wait
        self._stopped = threading.Event()
        self._ahead: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    def start(self) -> None:
        """Wait, in the background."""
        if any(job.inputs for job in self._plan.of("aggregate")):
            self._thread.start()

    def finish(self) -> set[str]:
        """Record what is not recorded yet, after a call to DVC that is under way; returns all that was recorded."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        rest = [path for path in self._plan.computed if path not in self._ahead]
        return self._ahead.union(self._record(self._plan.paths, rest))

    def _run(self) -> None:
        tables = self._plan.published
        due = [Path(each) for job in self._plan.of("aggregate") for each in job.inputs]
        while due:
            while due and due[-1].is_file():
                due.pop()
            if due and self._stopped.wait(self._wait):
                return
        with suppress(OSError):  # `finish` tries again, where the run hears of it
            self._ahead = set(self._record(_but(tables, self._plan.paths), _but(tables, self._plan.computed)))


def _but(one: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path != one]
