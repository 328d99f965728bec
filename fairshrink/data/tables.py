"""Labeled tables: csv, tsv, jsonl, parquet or splits, with any column names, read as text, text_pair and label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.data.faults import Fault, TableError
from fairshrink.data.labels import name_of, not_numbers, number_of, says, unnamed
from fairshrink.data.rows import Rows, read_rows
from fairshrink.data.splits import files_of, read_split
from fairshrink.data.table import Role, TableFormat, TableReference
from fairshrink.data.texts import text_faults
from fairshrink.log import log

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Examples:
    """The rows of one file that are used: columns by role, their numbers from 0 in the file, and how many it has."""

    columns: dict[Role, Sequence[str] | Sequence[float]]
    rows: Sequence[int]
    total: int


def read(ref: TableReference) -> DataFrame:
    """The table that a reference points at: columns text, text_pair and label, those that ``ref.columns`` names.

    Texts are what the file says, to the character. With ``labels`` the column label holds names, else float64. Rows
    keep their order, several files follow one another; the index is the number of the row in the table, counting those
    that ``drop_labels`` leaves out, which are logged. Raises TableError (a UserError) with all faults of the first file
    that has any.
    """
    import pandas as pd

    if ref.split is not None:
        return read_split(ref, [find(Path(ref.path), name) for name in files_of(ref)])
    parts, before = [], 0
    for name in ref.files:
        path = find(Path(ref.path), name)
        found = examples(path, ref)
        if found.total > len(found.rows):
            left_out = ", ".join(f"'{each}'" for each in ref.drop_labels)
            log(f"{path}: {found.total - len(found.rows)} of {found.total} rows left out, labeled {left_out}")
        columns = {
            role: pd.Series(values, dtype="float64" if role == "label" and not ref.labels else "str")
            for role, values in found.columns.items()
        }
        parts.append(pd.DataFrame(columns).set_axis([before + row for row in found.rows]))
        before += found.total
    return pd.concat(parts)


def find(folder: Path, name: str) -> Path:
    """The file of that name in a download, which may be that file itself; TableError where there is none."""
    if folder.is_file() and folder.name == name:
        return folder
    path = folder / name
    # By name: DVC may have linked the files of a download to its cache; links of local sources are looked at there.
    if not Path(normpath(path)).is_relative_to(normpath(folder)):
        reason = f"{name}: leads out of its download {folder}"
        raise TableError(Fault("file", reason, "write `file` relative to the download"))
    if path.is_file():
        return path
    inside = (each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    there = [folder.name] if folder.is_file() else sorted(inside)
    close = get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"it contains {', '.join(there[:10]) or 'no file'}"
    raise TableError(Fault("file", f"{path}: there is no file '{name}' in the download", hint))


def examples(path: Path, table: TableFormat) -> Examples:
    """The checked rows of one file; TableError with all its faults, each with up to twenty places."""
    rows = read_rows(path, table)
    kept: Sequence[int] = range(len(rows.places))
    if table.drop_labels:
        out = set(table.drop_labels)
        kept = [row for row in kept if out.isdisjoint(says(rows.values["label"][row]))]
        if not kept:
            raise TableError(Fault("drop_labels", f"{path}: `drop_labels` leaves no row", "keep some of the labels"))
    faults: list[Fault] = []
    columns: dict[Role, Sequence[str] | Sequence[float]] = {}
    for role in table.columns:
        values = [rows.values[role][row] for row in kept]
        where = [rows.places[row] for row in kept]
        place = f"{path}: column '{table.columns[role]}'"
        if role == "label":
            columns[role] = _labels(values, where, rows, place, table, faults)
        else:
            faults += text_faults(values, where, rows.unit, place, role)
            columns[role] = [str(value) for value in values]
    if faults:
        raise TableError(*faults)
    return Examples(columns, kept, len(rows.places))


def _labels(
    values: Sequence[object], where: Sequence[int], rows: Rows, place: str, table: TableFormat, faults: list[Fault]
) -> Sequence[str] | Sequence[float]:
    if table.labels:
        names = table.names_by_label
        named = [name_of(value, names) for value in values]
        wrong = [number for number, name in enumerate(named) if name is None]
        if wrong:
            faults.append(unnamed([values[n] for n in wrong], [where[n] for n in wrong], rows.unit, place, table))
        return [name for name in named if name is not None]
    numbers = [number_of(value) for value in values]
    wrong = [row for row, number in enumerate(numbers) if number is None]
    if wrong:
        faults.append(not_numbers([values[n] for n in wrong], [where[n] for n in wrong], rows.unit, place))
    return [number for number in numbers if number is not None]
