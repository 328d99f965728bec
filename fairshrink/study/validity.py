"""The validity table that a study relies on: which metrics failed a test on which model and task."""

from __future__ import annotations

import csv
from pathlib import Path

from fairshrink.contracts import CHECKPOINTS_ONLY, FAILED, PASSED, TRAINING_TESTS
from fairshrink.study.jobs import ValidityEntry
from fairshrink.study.mistakes import Mistake

COLUMNS = ("model", "task", "metric", "test", "passed")
_TRUE, _FALSE = "True", "False"


def read(file: str | None, folder: Path, mistakes: list[Mistake]) -> tuple[ValidityEntry, ...]:
    """One entry for each model, task and metric of the table that has at least one result.

    A metric passed if it failed no test. One that failed none but those on training in general still says something of
    the checkpoints at hand (`CHECKPOINTS_ONLY`). ``file`` is relative to ``folder``. Tests without a result (an empty
    ``passed``) say nothing. What is wrong with the file is added to ``mistakes``.
    """
    if file is None:
        return ()
    try:
        with (folder / file).open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        mistakes.append(Mistake("validity", f"{file} cannot be read: {error}", "the validity.csv of a finished study"))
        return ()
    failed: dict[tuple[str, str, str], set[str]] = {}
    for number, row in enumerate(rows, start=2):
        absent = [name for name in COLUMNS if not row.get(name) and name != "passed"]
        value = row.get("passed")
        if absent or value not in (_TRUE, _FALSE, ""):
            what = f"no {', '.join(absent)}" if absent else f"passed is {value!r}"
            remedy = f"columns {', '.join(COLUMNS)}, the last {_TRUE}, {_FALSE} or empty"
            mistakes.append(Mistake("validity", f"{file}, line {number}: {what}", remedy))
            return ()
        if value:
            tests = failed.setdefault((row["model"], row["task"], row["metric"]), set())
            tests |= {row["test"]} if value == _FALSE else set()
    return tuple(ValidityEntry(*where, _outcome(tests)) for where, tests in sorted(failed.items()))


def _outcome(failed: set[str]) -> str:
    if failed - TRAINING_TESTS:
        return FAILED
    return CHECKPOINTS_ONLY if failed else PASSED
