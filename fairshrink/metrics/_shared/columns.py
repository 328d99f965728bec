"""Tables that a study names for a metric, with columns by the names that it gives: csv, tsv, jsonl or parquet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshrink.data.json_text import parse
from fairshrink.errors import UserError
from fairshrink.metrics._shared.files import numbered_lines, table_rows

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_columns(metric: str, role: str, paths: Sequence[Path], columns: Sequence[str]) -> pd.DataFrame:
    """The columns of all files, one after another, and ``item``, the file's name and the row's number from 0.

    A folder stands for its Parquet files, in the order of their names. UserError for what cannot be read, for a column
    that is not there, and for two files of one name.
    """
    import pandas as pd

    files = [each for path in paths for each in (sorted(path.rglob("*.parquet")) if path.is_dir() else [path])]
    if not files:
        raise UserError(f"{metric}: {paths[0]} has no Parquet files; name the file of the table")
    parts = []
    for path in files:
        frame = _read(metric, path, role, columns)
        absent = [name for name in columns if name not in frame.columns]
        if absent:
            there = ", ".join(map(str, frame.columns))
            raise UserError(f"{metric}: {path} has no column {', '.join(absent)}, but {there}; name the columns it has")
        numbers = [f"{path.name.partition('.')[0]}/{row:07d}" for row in range(len(frame))]
        parts.append(frame[list(dict.fromkeys(columns))].assign(item=numbers))
    found = pd.concat(parts, ignore_index=True)
    if not len(found):
        raise UserError(f"{metric}: {files[0]} has no rows; name another file")
    if not found["item"].is_unique:
        raise UserError(f"{metric}: two files of the table have one name; rename one of them")
    return found


def check_texts(metric: str, frame: pd.DataFrame, column: str) -> None:
    """UserError naming the first row whose text is missing or blank."""
    for item, text in zip(frame["item"], frame[column], strict=True):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{metric}: row {item}: no text in the column {column!r}; remove the row")


def check_filled(metric: str, frame: pd.DataFrame, column: str) -> None:
    """UserError naming the first row that says nothing in a column, which would be a group called None or nan."""
    values = frame[column]
    empty = (values.isna() | values.map(lambda each: isinstance(each, str) and not each.strip())).to_numpy(bool)
    if empty.any():
        raise UserError(f"{metric}: row {frame['item'].iloc[int(empty.argmax())]}: nothing in the column {column!r}")


def _read(metric: str, path: Path, role: str, columns: Sequence[str]) -> pd.DataFrame:
    """Fields of csv and tsv are text as it is written, and None where they are empty."""
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".jsonl":
            return pd.DataFrame([_object(metric, path, each) for each in numbered_lines(path, metric, role)])
        if path.suffix in (".csv", ".tsv"):
            delimiter = "\t" if path.suffix == ".tsv" else ","
            _, first = next(numbered_lines(path, metric, role), (1, ""))
            there = [name for name in columns if name in next(csv.reader([first], delimiter=delimiter), [])]
            rows = [row for _, row in table_rows(path, metric, role, "a table with them", there, delimiter)]
            return pd.DataFrame(rows, columns=list(rows[0]), dtype=object).replace("", None)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"{metric}: {path} cannot be read as a table: {error}") from error
    raise UserError(f"{metric}: {path}: the name of a table ends with {', '.join(SUFFIXES)}; rename or convert it")


def _object(metric: str, path: Path, numbered: tuple[int, str]) -> dict[str, Any]:
    number, line = numbered
    try:
        found = parse(line)
        if not isinstance(found, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise UserError(f"{metric}: {path}, line {number}: {error}; write one JSON object on each line") from error
    return found
