"""Tables with named columns: CSV in UTF-8 with a header, or Parquet. A row is an item.

A cell that is empty is an empty text; a number that is not known is written ``nan``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow

from fairshrink.data.labels import NUMBER
from fairshrink.errors import UserError
from fairshrink.judging.records import read_text

TEXT = ("item", "cluster", "group")
"""Columns that are text whatever is in them."""
Column = tuple[str, pd.Series | Sequence[str]]
"""A name, and values that are typed already or as a file has them."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
"""Whole numbers that 64 bits hold."""
_BOOLEANS = {"True": True, "False": False}


def read(path: Path, names: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The table and the place of each row; ``names``: column of the file, by the name that it gets."""
    columns, places = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    header = [name for name, _ in columns]
    absent = [column for column in names.values() if column not in header]
    if absent:
        raise UserError(f"{path}: no column {', '.join(absent)}; there is {', '.join(header)}")
    meaning = {column: name for name, column in names.items()}
    header = [meaning.get(name, name) for name in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{path}: the column {', '.join(twice)} is there twice; rename one of them")
    table = pd.DataFrame({name: _typed(name, values) for name, (_, values) in zip(header, columns, strict=True)})
    if "item" not in table:
        raise UserError(f"{path}: no column 'item', which names the items; write `--columns item=NAME`")
    if not len(table):
        raise UserError(f"{path}: the table has no rows")
    for name in filter(table.columns.__contains__, TEXT):
        empty = table[name].isna() | (table[name].astype(str).str.strip() == "" if name == "item" else False)
        if empty.any():
            raise UserError(f"{places[int(empty.to_numpy().argmax())]}: nothing in the column '{name}'; fill it")
        table[name] = table[name].astype(str)
    if "cluster" not in table:
        table["cluster"] = table["item"]
    return table, places


def write(items: pd.DataFrame, path: Path) -> None:
    """Write a table that `read` gives back unchanged."""
    if path.suffix == ".parquet":
        items.to_parquet(path, index=False)
    else:
        items.to_csv(path, index=False, na_rep="nan", lineterminator="\n")


def _parquet(path: Path) -> tuple[list[Column], list[str]]:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, LookupError, NotImplementedError, pyarrow.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a Parquet file ({reason})") from error
    return [(str(name), table[name]) for name in table], [f"{path}, row {at}" for at in range(1, len(table) + 1)]


def _csv(path: Path) -> tuple[list[Column], list[str]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[list[str]] = []
    places: list[str] = []
    try:
        header = next(reader, [])
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise UserError(f"{path}:{reader.line_num}: {len(row)} fields, and the header has {len(header)}")
            rows.append(row)
            places.append(f"{path}:{reader.line_num}")
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV ({error})") from error
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return list(zip(header, columns, strict=True)), places


def _typed(name: str, values: pd.Series | Sequence[str]) -> pd.Series:
    if isinstance(values, pd.Series):
        return values
    if name in TEXT or not values:
        return pd.Series(values, dtype=str)
    if set(values) <= _BOOLEANS.keys():
        return pd.Series([_BOOLEANS[each] for each in values])
    if all(_WHOLE.fullmatch(each) for each in values):
        return pd.Series([int(each) for each in values])
    if all(NUMBER.fullmatch(each) or each == "nan" for each in values):
        return pd.Series([float(each) for each in values])
    return pd.Series(values, dtype=str)
