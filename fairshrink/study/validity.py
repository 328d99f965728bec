"""The validity table that a study relies on: which metrics failed a test on which model and task."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from fairshrink.study.jobs import ValidityEntry
from fairshrink.study.mistakes import Mistake

COLUMNS = ("model", "task", "metric", "passed")
_TRUE, _FALSE = "True", "False"


def read(file: str | None, folder: Path, mistakes: list[Mistake]) -> tuple[ValidityEntry, ...]:
    """One entry for each model, task and metric of the table; passed if it passed each of its tests.

    ``file`` is relative to ``folder``. Tests without a result (an empty ``passed``) say nothing. What is wrong with the
    file is added to ``mistakes``.
    """
    if file is None:
        return ()
    try:
        with (folder / file).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        mistakes.append(Mistake("validity", f"{file} cannot be read: {error}", "the validity.csv of a finished study"))
        return ()
    found: dict[tuple[str, str, str], bool] = defaultdict(lambda: True)
    for number, row in enumerate(rows, start=2):
        absent = [name for name in COLUMNS if not row.get(name) and name != "passed"]
        value = row.get("passed")
        if absent or value not in (_TRUE, _FALSE, ""):
            what = f"no {', '.join(absent)}" if absent else f"passed is {value!r}"
            remedy = f"columns {', '.join(COLUMNS)}, the last {_TRUE}, {_FALSE} or empty"
            mistakes.append(Mistake("validity", f"{file}, line {number}: {what}", remedy))
            return ()
        if value:
            found[row["model"], row["task"], row["metric"]] &= value == _TRUE
    return tuple(ValidityEntry(*where, passed) for where, passed in sorted(found.items()))
