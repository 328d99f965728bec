"""Labeled tables: csv, tsv, jsonl or parquet with any column names, read as text, text_pair and label."""

from __future__ import annotations

import csv
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from fairshrink.data.table import TableReference
from fairshrink.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def read(ref: TableReference) -> DataFrame:
    """The table that a reference points at: columns text, text_pair and label, those that ``ref.columns`` names.

    With ``labels`` the
    column label is int64, the position of each label in that list (numbers in the file are such positions unless they
    are label names themselves); without, float64. Rows keep their order, several files follow one another, no row is
    dropped. Raises UserError for a missing file or column, an empty text, an unknown label, and a label that is no
    number where no ``labels`` are given.
    """
    import pandas as pd

    parts = []
    for name in ref.files:
        path = _find(ref, name)
        parts.append(_checked(_select(_load(path, ref), ref, path), ref, path))
    return pd.concat(parts, ignore_index=True)


def _find(ref: TableReference, name: str) -> Path:
    folder = Path(ref.path)
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{name}: leads out of its download {folder}; write `file` relative to the download")
    if path.is_file():
        return path
    there = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    close = get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"it contains {', '.join(there[:10]) or 'no file'}"
    raise UserError(f"{path}: there is no such file in the download; {hint}")


def _load(path: Path, ref: TableReference) -> DataFrame:
    import pandas as pd

    try:
        if ref.format == "parquet":
            return pd.read_parquet(path)
        if ref.format == "jsonl":
            return pd.read_json(path, lines=True, encoding=ref.encoding, dtype=False, convert_dates=False)
        return pd.read_csv(
            path,
            sep=ref.separator,
            header=0 if ref.header else None,
            encoding=ref.encoding,
            quoting=csv.QUOTE_MINIMAL if ref.quoted else csv.QUOTE_NONE,
            # "NA" and "null" are words that occur in texts, and "007" is not 7.
            keep_default_na=False,
            na_values=[""],
            dtype=str,
        )
    except (ValueError, LookupError) as error:
        raise UserError(
            f"{path}: cannot be read as {ref.format} ({str(error).strip()}); "
            "check `format`, `encoding`, `header` and `quoting`"
        ) from error


def _select(table: DataFrame, ref: TableReference, path: Path) -> DataFrame:
    """The named columns, under the names of their roles."""
    chosen = {}
    for role, column in ref.columns.items():
        if column not in table.columns:
            names = [str(each) for each in table.columns]
            close = get_close_matches(str(column), names, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise UserError(
                f"{path}: columns: there is no column '{column}' for {role}; {hint}the columns are {', '.join(names)}"
            )
        chosen[role] = table[column]
    return type(table)(chosen)


def _checked(table: DataFrame, ref: TableReference, path: Path) -> DataFrame:
    for role in ("text", "text_pair"):
        if role in table:
            empty = table[role].isna() | (table[role].astype(str).str.strip() == "")
            if empty.any():
                where = f"{path}: column '{ref.columns[role]}', {_row(empty)}"
                raise UserError(f"{where}: the {role} is empty; fill the cell or remove the row")
            table[role] = table[role].astype(str)
    if "label" in table:
        where = f"{path}: column '{ref.columns['label']}'"
        known = ref.labels
        table["label"] = _positions(table["label"], known, where) if known else _numbers(table["label"], where)
    return table


def _row(wrong: Series) -> str:
    return f"row {int(wrong.to_numpy().argmax()) + 1}"


def _numbers(values: Series, where: str) -> Series:
    import numpy as np
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise UserError(
            f"{where}, {_row(wrong)}: {_shown(values, wrong)} is not a number; fix the row, "
            "or for named classes give `labels: [name, …]`"
        )
    return numbers


def _positions(values: Series, known: list[str], where: str) -> Series:
    import pandas as pd

    positions = values.map({label: position for position, label in enumerate(known)}).astype("float64")
    if positions.isna().all():
        positions = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = positions.isna() | (positions < 0) | (positions >= len(known)) | (positions % 1 != 0)
    if wrong.any():
        raise UserError(
            f"{where}, {_row(wrong)}: {_shown(values, wrong)} is none of the labels {', '.join(known)}, nor the "
            f"position of one (0 to {len(known) - 1}); remove the row, or list its label"
        )
    return positions.astype("int64")


def _shown(values: Series, wrong: Series) -> str:
    return repr(str(values.iloc[int(wrong.to_numpy().argmax())]))
