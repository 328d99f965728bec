"""Tables that a study names for a metric, with columns by the names that it gives: csv, tsv, jsonl or parquet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshrink.data.faults import SHOWN
from fairshrink.data.json_text import parse
from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.metrics._shared.files import numbered_lines, table_rows
from fairshrink.metrics._shared.likelihood import tokenize, too_long

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models.checkpoint import Checkpoint

PLACE = "__place__"
"""A column that no table has."""
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_columns(metric: str, role: str, paths: Sequence[Path], columns: Sequence[str]) -> pd.DataFrame:
    """The columns of all files, one after another, ``item``, the file's name and the row's number, and ``PLACE``.

    The last is the path with the line, in Parquet with the row's number from 0, for messages.

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
            there = ", ".join(str(name) for name in frame.columns if name != PLACE)
            raise UserError(f"{metric}: {path} has no column {', '.join(absent)}, but {there}; name the columns it has")
        numbers = [f"{path.name.partition('.')[0]}/{row:07d}" for row in range(len(frame))]
        parts.append(frame[list(dict.fromkeys([*columns, PLACE]))].assign(item=numbers))
    found = pd.concat(parts, ignore_index=True)
    if not len(found):
        raise UserError(f"{metric}: {files[0]} has no rows; name another file")
    if not found["item"].is_unique:
        raise UserError(f"{metric}: two files of the table have one name; rename one of them")
    return found


def check_texts(metric: str, frame: pd.DataFrame, column: str) -> None:
    """UserError naming the first row whose text is missing or blank."""
    for place, text in zip(frame[PLACE], frame[column], strict=True):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{metric}: {place}: no text in the column {column!r}; remove the row")


def check_filled(metric: str, frame: pd.DataFrame, column: str) -> None:
    """UserError naming the first row that says nothing in a column, which would be a group called None or nan."""
    values = frame[column]
    empty = (values.isna() | values.map(lambda each: isinstance(each, str) and not each.strip())).to_numpy(bool)
    if empty.any():
        place = frame[PLACE].iloc[int(empty.argmax())]
        raise UserError(f"{metric}: {place}: nothing in the column {column!r}; fill it in or remove the row")


def tell_cut(metric: str, cp: Checkpoint, texts: Sequence[str], places: Sequence[str]) -> None:
    """One line of the log that names the texts of which a model sees the beginning only."""
    from fairshrink.models.checkpoint import max_tokens

    cut = [place for place, each in zip(places, tokenize(cp, texts), strict=True) if too_long(cp, each)]
    if cut:
        more = f"; and {len(cut) - SHOWN} more" if len(cut) > SHOWN else ""
        log(
            f"{metric}: {len(cut)} of {len(texts)} texts cut off after the {max_tokens(cp)} tokens that the model "
            f"sees: {'; '.join(cut[:SHOWN])}{more}"
        )


def _read(metric: str, path: Path, role: str, columns: Sequence[str]) -> pd.DataFrame:
    """Fields of csv and tsv are text as it is written, and None where they are empty."""
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            return frame.assign(**{PLACE: [f"{path}, row {row}" for row in range(len(frame))]})
        if path.suffix == ".jsonl":
            objects = [(each[0], _object(metric, path, each)) for each in numbered_lines(path, metric, role)]
            frame = pd.DataFrame([found for _, found in objects])
            return frame.assign(**{PLACE: [f"{path}, line {number}" for number, _ in objects]})
        if path.suffix in (".csv", ".tsv"):
            delimiter = "\t" if path.suffix == ".tsv" else ","
            _, first = next(numbered_lines(path, metric, role), (1, ""))
            there = [name for name in columns if name in next(csv.reader([first], delimiter=delimiter), [])]
            rows = table_rows(path, metric, role, "a table with them", there, delimiter)
            frame = pd.DataFrame([row for _, row in rows], columns=list(rows[0][1]), dtype=object).replace("", None)
            return frame.assign(**{PLACE: [f"{path}, line {number}" for number, _ in rows]})
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
