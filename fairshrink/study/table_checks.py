"""Checks of the tables of a study that are on this machine already: their files are read before any job starts."""

from __future__ import annotations

from dataclasses import dataclass

from fairshrink.data.faults import TableError
from fairshrink.data.table import Table
from fairshrink.data.tables import examples, find
from fairshrink.study.mistakes import Mistake, suggestion
from fairshrink.study.study import Download, Study, TaskEntry

Scale = tuple[float, float]
"""The lowest and the highest of the labels that are numbers."""


@dataclass(frozen=True)
class Found:
    """What a table has: rows that can be used, and the scale of its labels if these are numbers."""

    rows: int
    scale: Scale | None


def check_table(study: Study, task: TaskEntry, table: Table, key: str, mistakes: list[Mistake]) -> Found | None:
    """Local files are checked before any job starts; those that are fetched are checked when they are read.

    Returns what was found, None where nothing could be read.
    """
    entry = study.downloads.get(table.download)
    if entry is not None:
        _check_split(entry, table, key, mistakes)
    root = entry.settings.local if entry else None
    if root is None or not root.exists() or table.split is not None:
        return None
    if bool(table.labels) != (task.module.HEAD == "classification"):
        # Whether labels are named at all is a mistake of its own, which would make each of them one.
        without = {role: column for role, column in table.columns.items() if role != "label"}
        table = table.model_copy(update={"columns": without, "labels": None, "drop_labels": []})
    numbers: list[float] = []
    rows = 0
    for name in table.files:
        try:
            found = examples(find(root, name), table)
        except TableError as error:
            for each in error.faults:
                place = f"{key}.{each.key}" if each.key else key
                mistakes.append(Mistake(place, each.reason, each.remedy))
        else:
            rows += len(found.rows)
            numbers += [float(label) for label in found.columns.get("label", ()) if not table.labels]
    return Found(rows, (min(numbers), max(numbers)) if numbers else None)


def _check_split(entry: Download, table: Table, key: str, mistakes: list[Mistake]) -> None:
    """A split is named of a download that has splits, and is one of them."""
    if table.split is None:
        return
    offered = entry.settings.offered_splits
    if offered is None:
        reason = f"download '{entry.name}' (`source: {entry.source}`) has files, not splits"
        mistakes.append(
            Mistake(f"{key}.split", reason, "`file` and `format`, or `source: hub_dataset` for the download")
        )
    elif offered and table.split not in offered:
        reason = f"downloads.{entry.name}.splits does not list '{table.split}'"
        mistakes.append(Mistake(f"{key}.split", reason, suggestion(table.split, offered)))


def has_named_classes(study: Study, table: Table) -> bool:
    """Whether the names of labels may come with the data, and are known to the job that reads them."""
    entry = study.downloads.get(table.download)
    return table.split is not None and (entry is None or entry.settings.offered_splits is not None)
