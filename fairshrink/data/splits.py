"""Splits of a data set from the hub: memory-mapped, so that texts are neither copied nor held as Python objects.

`datasets` turns the Parquet files into Arrow files once, in a folder beside the downloads that can be deleted at any
time, and maps these into memory: what is not looked at is not read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fairshrink.data.faults import Fault, TableError
from fairshrink.data.labels import class_says, not_numbers, number_of, unnamed
from fairshrink.data.rows import chosen_columns
from fairshrink.data.table import TableReference
from fairshrink.data.texts import text_faults
from fairshrink.log import log

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray
    from pandas import DataFrame

INDEX = "dataset.json"
"""In the download: the files of each split, and the names of classes by column."""
MAPPED = ".datasets"
"""The folder beside downloads with the files that are mapped into memory."""
VISIBLE = "[0-9A-Za-z]"


def files_of(ref: TableReference) -> list[str]:
    """The files of the split, by their names in the download; TableError where there is no such split."""
    splits: dict[str, list[str]] = _index(ref)["splits"]
    if ref.split in splits:
        return splits[ref.split]
    close = get_close_matches(str(ref.split), splits, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise TableError(Fault("split", f"{ref.path} has no split '{ref.split}'", f"{hint}there is {', '.join(splits)}"))


def classes_of(ref: TableReference) -> list[str]:
    """The names of the labels that are kept, in the order of the data set; TableError where these have no names."""
    column = str(ref.columns.get("label"))
    names: list[str] | None = _index(ref)["classes"].get(column)
    if not names:
        reason = f"{ref.path}: the labels in column '{column}' have no names"
        raise TableError(Fault("labels", reason, "write `labels: [name, name, …]`"))
    return [name for name in names if name not in ref.drop_labels]


def read_split(ref: TableReference, files: Sequence[Path]) -> DataFrame:
    """The rows of a split as `tables.read` gives those of files; the texts stay in the mapped file where all are kept.

    Raises TableError with all faults, with the numbers of rows counted from 1.
    """
    import pandas as pd

    place = f"{ref.path}, split {ref.split}"
    table = _mapped(ref, files, place)
    faults: list[Fault] = []
    found: dict[str, pd.Series] = {}
    kept = np.ones(table.num_rows, dtype=bool)
    if "label" in ref.columns:
        found["label"], kept = _labels(ref, table.column("label"), place, faults)
    for role in ref.columns:
        if role != "label":
            found[role] = _texts(table.column(role), kept, f"{place}: column '{ref.columns[role]}'", role, faults)
    if not kept.any():
        faults.append(Fault("drop_labels", f"{place}: `drop_labels` leaves no row", "keep some of the labels"))
    if faults:
        raise TableError(*faults)
    frame = pd.DataFrame({role: found[role] for role in ref.columns})
    if kept.all():
        return frame
    labels = ", ".join(f"'{each}'" for each in ref.drop_labels)
    log(f"{place}: {int((~kept).sum())} of {len(kept)} rows left out, labeled {labels}")
    return frame[kept]


def _index(ref: TableReference) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((Path(ref.path) / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "`source: hub_dataset` for the download, or `file` and `format`"
        raise TableError(Fault("split", f"{ref.path} has no splits ({error})", remedy)) from error
    return content


def _mapped(ref: TableReference, files: Sequence[Path], place: str) -> pa.Table:
    """The columns that the study names, by role, mapped into memory."""
    import datasets
    import pyarrow as pa
    from datasets.exceptions import DatasetsError
    from pyarrow.parquet import read_schema

    root = Path(ref.path)
    datasets.disable_progress_bars()
    try:
        names = read_schema(files[0]).names
        chosen = {role: names[column] for role, column in chosen_columns(names, ref, files[0]).items()}
        dataset = datasets.Dataset.from_parquet(
            [str(file) for file in files],
            cache_dir=str(root.with_name(MAPPED) / root.name),
            columns=list(dict.fromkeys(chosen.values())),
        )
        table = dataset.data.table
        table.validate(full=True)
    except (pa.ArrowException, DatasetsError, OSError, ValueError) as error:
        cause = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise TableError(
            Fault("", f"{place} cannot be read ({cause[0]})", "check whether its files are whole")
        ) from error
    if not table.num_rows:
        raise TableError(Fault("split", f"{place} has no rows", "name a split that contains examples"))
    return pa.table({role: table.column(name) for role, name in chosen.items()})


def _labels(
    ref: TableReference, column: pa.ChunkedArray, place: str, faults: list[Fault]
) -> tuple[pd.Series, NDArray[np.bool_]]:
    """The labels, names or numbers, and which rows are kept; each value is looked at once, whatever the rows."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    name = str(ref.columns["label"])
    where, classes = f"{place}: column '{name}'", _index(ref)["classes"].get(name, [])
    if pa.types.is_nested(column.type):
        raise TableError(Fault("columns.label", f"{where} has lists or objects", "name another column"))
    distinct = pc.unique(column)
    codes = pc.index_in(column, value_set=distinct).to_numpy()
    values = distinct.to_pylist()
    written = [class_says(value, classes) for value in values]
    kept = np.array([not set(ref.drop_labels) & set(each) for each in written], dtype=bool)[codes]
    named = bool(ref.labels) or (ref.named and bool(classes))
    meant: list[Any] = [None if classes else number_of(value) for value in values]
    if named:
        ref = ref if ref.labels else ref.model_copy(update={"labels": classes_of(ref)})
        meant = [next((known for each in said if (known := ref.names_by_label.get(each))), None) for said in written]
    wrong = np.flatnonzero(np.array([each is None for each in meant], dtype=bool)[codes] & kept)
    unknown = [each for each in ref.names_by_label if classes and each not in (*classes, "-1")]
    if unknown:
        reason = f"{where} has the classes {', '.join(classes)}, and no {', '.join(unknown)}"
        faults.append(Fault("labels", reason, f"`labels: [{', '.join(classes_of(ref))}]`, or leave `labels` out"))
    elif classes and not named:
        reason = f"{where} has the classes {', '.join(classes)}, no numbers"
        faults.append(Fault("columns.label", reason, "name another column, or write `kind: classification`"))
    elif len(wrong):
        shown, rows = [(written[code] or ("?",))[0] for code in codes[wrong]], [int(row) + 1 for row in wrong]
        faults.append(unnamed(shown, rows, "row", where, ref) if named else not_numbers(shown, rows, "row", where))
    if named:
        return _strings(pa.array([str(each) for each in meant], pa.large_string()).take(pa.array(codes))), kept
    return pd.Series(np.array([np.nan if each is None else each for each in meant], dtype="float64")[codes]), kept


def _texts(column: pa.ChunkedArray, kept: NDArray[np.bool_], place: str, role: str, faults: list[Fault]) -> pd.Series:
    """The texts; only those without an ordinary letter or digit are looked at one by one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        kept = kept & ~pc.fill_null(pc.match_substring_regex(column, VISIBLE), False).to_numpy()
    # `take` would copy all texts to find these.
    values = column.filter(pa.array(kept)).to_pylist()
    faults += text_faults(values, [int(row) + 1 for row in np.flatnonzero(kept)], "row", place, role)
    if pa.types.is_nested(column.type):
        return _strings(pa.chunked_array([pa.nulls(len(column), pa.large_string())]))
    return _strings(column.cast(pa.large_string()))


def _strings(column: pa.ChunkedArray | pa.Array) -> pd.Series:
    """As a column of a table, without copying the texts."""
    import pandas as pd

    return pd.Series(pd.arrays.ArrowStringArray(column, dtype=pd.StringDtype("pyarrow", na_value=np.nan)))
