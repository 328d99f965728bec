"""How much time is left of a run: said when it begins, and every half minute as it goes on.

From the records of earlier runs, else from this machine's speed; corrected by how long what is done has taken.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fairshrink.explaining import estimates, records, speed
from fairshrink.log import duration, log
from fairshrink.planning import grid, studies
from fairshrink.planning.plan import Plan
from fairshrink.store import artifacts
from fairshrink.study.study import Study

EVERY_S = 30.0
MIN_CORRECTED = 0.05
"""Of the expected time: what has to be done before the rest is corrected by it."""


def guess_of(study: Study, whole: grid.Grid) -> Callable[[str], float | None]:
    """Seconds of an artifact from the machine's speed, which is measured when it is first asked for."""
    declared = {name: model.weights for name, model in study.models.items() if model.weights}

    def guess(path: str) -> float | None:
        operations = speed.rate()
        if operations is None:
            return None
        return speed.Guess(whole, operations, declared, whole.local).seconds(path)

    return guess


def left(expected: Mapping[str, float], done: set[str], lanes: int, elapsed: float) -> float:
    """Seconds until all is made, ``lanes`` artifacts at a time; ``elapsed``: since the beginning."""
    whole, finished = sum(expected.values()), sum(expected[path] for path in done)
    rest = (whole - finished) / lanes
    return rest if finished < MIN_CORRECTED * whole else rest * elapsed / (finished / lanes)


def tell(file: str, made: Plan, cores: int) -> None:
    """Begin to say how much is left of a run on this machine; ends with the process. Never an error."""
    if len(made.computed) > 1:
        threading.Thread(target=_tell, args=(file, made, max(1, cores // made.threads)), daemon=True).start()


def _tell(file: str, made: Plan, lanes: int) -> None:
    began = time.monotonic()
    try:
        study = studies.load(file)
        whole = grid.expand(study)
        found = estimates.expected(made.computed, whole, records.read(), guess_of(study, whole))
        known = {path: each.seconds for path, each in found.items() if each.seconds is not None}
        if not known:
            return
        guessed = sum(each.guessed for each in found.values())
        basis = f", of {guessed} from this machine's speed" if guessed else ", from the times of earlier runs"
        unknown = len(found) - len(known)
        without = f", without {unknown} whose time is not known" if unknown else ""
        _say(f"{len(found)} artifacts to make, about {duration(left(known, set(), lanes, 0.0))}{basis}{without}")
        while True:
            time.sleep(EVERY_S)
            done = {path for path in known if artifacts.exists(Path(path))}
            if len(done) == len(known):
                return
            rest = left(known, done, lanes, time.monotonic() - began)
            _say(f"{len(done)} of {len(known)} artifacts made, about {duration(rest)} left of the run")
    except Exception as error:  # it is only said; the run does not depend on it
        log(f"how much time is left is not known: {type(error).__name__}: {error}")


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")  # a job's bar may be in this line
    log(text)
