"""Rows that would count twice: in training and in testing, or twice in one table. Known before anything is fetched.

Contents are the same where the bytes of local files are, or the pins of downloads and the names in them. What only its
rows show is found by the job that trains (`fairshrink.data.shared_rows`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairshrink import keys
from fairshrink.data.table import Table
from fairshrink.errors import UserError
from fairshrink.study.mistakes import Mistake
from fairshrink.study.study import Download, Study, TaskEntry

CHOICES = ("files", "members", "name", "splits")
"""Parts of a pin that say which of its files a download takes, not what is in them."""


def check_same_rows(study: Study, mistakes: list[Mistake]) -> None:
    """Add a mistake for each table that tests on what is trained on, or that has the same contents twice."""
    for task in study.tasks.values():
        tables = [(f"tasks.{task.name}.{path}", table) for path, table in task.tables()]
        tables += _doses(study, task)
        contents = [(key, dict(_contents(study, table))) for key, table in tables]
        for key, found in contents:
            _check_twice(key, found, mistakes)
        trained = [each for each in contents if ".test." not in each[0]]
        for key, found in contents:
            for other, there in trained if ".test." in key else ():
                _check_trained(key, found, other, there, mistakes)
    for metric in study.metrics:
        for role, files in metric.keys.data.items():
            entry = study.downloads.get(files.download)
            found = {name: _identity(entry, name) for name in files.files} if entry else {}
            _check_twice(f"metrics.{metric.name}.data.{role}", found, mistakes)


def _doses(study: Study, task: TaskEntry) -> Iterator[tuple[str, Table]]:
    """Tables of which rows are trained on in place of some of the task's; once for each dose."""
    found = {
        f"doses.{each.setting.partition('=')[0]}.table": each.dose
        for each in study.controls
        if each.dose is not None and task.name in (each.keys.tasks or ())
    }
    yield from found.items()


def _contents(study: Study, table: Table) -> Iterator[tuple[str, str]]:
    """What identifies the contents of each file, or of the split, by its name."""
    entry = study.downloads.get(table.download)
    if entry is not None:
        for name in [table.split] if table.split is not None else table.files:
            yield name, _identity(entry, name)


def _identity(entry: Download, name: str) -> str:
    try:
        pin = entry.module.pin(entry.settings)
    except UserError:
        return f"{entry.name}/{name}"  # a mistake of its own
    files = pin.get("files")
    if isinstance(files, Mapping):  # the checksums of local files
        return str(files.get(name, f"{entry.name}/{name}"))
    if "sha256" in pin and not pin.get("members"):  # a file by itself
        return str(pin["sha256"])
    return keys.digest([entry.source, {each: pin[each] for each in pin if each not in CHOICES}, name])


def _check_twice(key: str, contents: Mapping[str, str], mistakes: list[Mistake]) -> None:
    first: dict[str, str] = {}
    for name, identity in contents.items():
        if identity in first:
            reason = f"{first[identity]} and {name} have the same contents, which would count twice"
            mistakes.append(Mistake(f"{key}.file", reason, "one of the two, or another file"))
        first.setdefault(identity, name)


def _check_trained(
    key: str, contents: Mapping[str, str], other: str, trained: Mapping[str, str], mistakes: list[Mistake]
) -> None:
    names = {identity: name for name, identity in trained.items()}
    same = [(name, names[identity]) for name, identity in contents.items() if identity in names]
    if same:
        shown = ", ".join(name if name == there else f"{name} (as {there})" for name, there in same)
        reason = f"{shown}: these are rows of `{other}` too, so the test would be on what was trained on"
        remedy = "another table, or leave `test` out: a share of `train` is then held out"
        mistakes.append(Mistake(f"{key}.download", reason, remedy))
