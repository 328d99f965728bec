"""Checks of what a study uses of downloads that are on this machine already: read before any job starts."""

from __future__ import annotations

from fairshrink.data.table import Table
from fairshrink.study.catalog import Catalog
from fairshrink.study.mistakes import Mistake, suggestion
from fairshrink.study.study import Download, Study, TaskEntry
from fairshrink.study.uses import Found, TableUse, mistakes_in, read_table, uses


def check_table(study: Study, task: TaskEntry, table: Table, key: str, mistakes: list[Mistake]) -> Found | None:
    """Local files are checked before any job starts; those that are fetched are checked when they have been fetched.

    Returns what was found, None where nothing could be read.
    """
    entry = study.downloads.get(table.download)
    if entry is not None:
        _check_split(entry, table, key, mistakes)
    root = entry.settings.local if entry else None
    if root is None or not root.exists() or table.split is not None:
        return None
    return read_table(TableUse(key, table, task.module.HEAD == "classification"), root, mistakes)


def check_others(study: Study, catalog: Catalog, mistakes: list[Mistake]) -> None:
    """Models and metrics' data in local sources: config.json, names of files and folders, files that git-lfs lacks."""
    for name, use in uses(study):
        entry = study.downloads.get(name)
        root = entry.settings.local if entry else None
        if root is not None and root.exists() and not isinstance(use, TableUse):
            mistakes += mistakes_in(use, root, catalog)


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
