"""The order of the tests; where their time goes: `.pytest_cache/durations.txt`, by file and by test, after every run.

Processor time is that of the test process and of child processes that have ended. Jobs that are forked from a process
of all tests (`helpers/tiny_study.py`) are not in it.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes to draw or to run depends on what else the machine does; which ones are drawn, on nothing.
settings.register_profile("any_machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

_spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests run workflows come first: the many short ones then fill what is left of each process's time."""
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes do not name a test: packed ones hold the second they were packed in, and processes then differ in names."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Give each report the processor time since the one before, that of ended child processes included."""
    report = yield
    report.processor_s = _processor_s() - getattr(item.config, "_processor_s", _AT_FIRST)
    item.config._processor_s = _processor_s()
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up; with xdist, reports of all workers arrive here."""
    spent = _spent[report.nodeid]
    spent[0] += report.duration
    spent[1] += getattr(report, "processor_s", 0.0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table."""
    if hasattr(session.config, "workerinput") or not _spent:
        return
    files: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for test, spent in _spent.items():
        file = files[test.partition("::")[0]]
        file[0] += spent[0]
        file[1] += spent[1]
    parts = [_table(each) for each in (files, _spent)]
    place = Path(session.config.rootpath) / ".pytest_cache"
    place.mkdir(exist_ok=True)
    (place / "durations.txt").write_text("    wall  processor (seconds)\n" + "\n".join(parts), encoding="utf-8")


def _table(spent: dict[str, list[float]]) -> str:
    rows = sorted(spent.items(), key=lambda row: -row[1][0])
    return "".join(f"{wall:8.2f}   {processor:8.2f}  {name}\n" for name, (wall, processor) in rows)


def _processor_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


_AT_FIRST = _processor_s()
