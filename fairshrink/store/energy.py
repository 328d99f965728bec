"""The energy that a machine's processors used while something was computed, by the counters that Linux shows (RAPL).

Counted are whole processor packages: everything that ran meanwhile is in it, so it says something of a job only where
nothing else runs. Not counted are memory, disks and GPUs. Where it cannot be told, the record has the reason instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
MOST_WATTS = 500
"""More than a package draws: after what it takes to fill a counter at this rate, the counter may have wrapped twice."""


@dataclass(frozen=True)
class Counter:
    """A package's counter in microjoules: what it shows, and the most that it can show before it is 0 again."""

    shown: int
    largest: int


@dataclass(frozen=True)
class Reading:
    """All packages' counters by their folder at a time in seconds; or the ``reason`` why there are none."""

    counters: dict[str, Counter]
    at: float
    reason: str = ""


def read(folder: Path = POWERCAP, clock: Callable[[], float] = time.perf_counter) -> Reading:
    """The counters of the packages; those of parts of a package, and of the whole platform, are left out."""
    if not folder.is_dir():
        return Reading({}, clock(), f"{folder} is not there")
    found = {}
    try:
        for zone in sorted(folder.glob("intel-rapl:*")):
            if (zone / "name").read_text().startswith("package"):
                shown, largest = (int((zone / f"{name}_uj").read_text()) for name in ("energy", "max_energy_range"))
                found[zone.name] = Counter(shown, largest)
    except (OSError, ValueError) as error:
        return Reading({}, clock(), f"the counters of {folder} cannot be read ({error})")
    return Reading(found, clock(), "" if found else f"{folder} has no counter of a processor package")


def used(before: Reading, after: Reading, gpus: int = 0) -> dict[str, float | str]:
    """``energy_j``, the joules between two readings, or ``energy_unknown``, the reason why they cannot be told."""
    reason = before.reason or after.reason
    if gpus:
        reason = "a GPU computed, and its energy is not counted"
    elif not reason and before.counters.keys() != after.counters.keys():
        reason = "the counters are not the same as before"
    elif not reason and any(
        (after.at - before.at) * MOST_WATTS * 1e6 > each.largest for each in before.counters.values()
    ):
        reason = "it took so long that a counter may have started anew more than once"
    if reason:
        return {"energy_unknown": reason}
    each = ((after.counters[name].shown - was.shown) % (was.largest + 1) for name, was in before.counters.items())
    return {"energy_j": round(sum(each) / 1e6, 3)}
