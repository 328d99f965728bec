"""The results contract on disk: fixed columns, fixed types, and the same bytes for the same results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fairshrink.errors import UserError

_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

IDENTITY = {
    "model": _TEXT,
    "family": _TEXT,
    "task": _TEXT,
    "split": _INT,
    "seed": _INT,
    "method": _TEXT,
    "setting": _TEXT,
    "sparsity": _FLOAT,
}
SCORE = {
    "metric": _TEXT,
    "dataset": _TEXT,
    "group": _TEXT,
    "statistic": _TEXT,
    "value": _FLOAT,
    "ci_low": _FLOAT,
    "ci_high": _FLOAT,
    "n_items": _INT,
    "unbiased_value": _FLOAT,
    "random_value": _FLOAT,
    "p_value": _FLOAT,
    "baseline_value": _FLOAT,
    "change_low": _FLOAT,
    "change_high": _FLOAT,
    "mde": _FLOAT,
    "damage": _FLOAT,
    "signal_kept": _FLOAT,
    "null_value": _FLOAT,
    "null_low": _FLOAT,
    "null_high": _FLOAT,
    "residual": _FLOAT,
    "residual_low": _FLOAT,
    "residual_high": _FLOAT,
    "residual_p": _FLOAT,
    "key": _TEXT,
}
LEDGER = {
    "params": _INT,
    "zero_fraction_prunable": _FLOAT,
    "zero_fraction_total": _FLOAT,
    "effective_bits": _FLOAT,
    "bytes": _INT,
    "flops_per_token": _FLOAT,
    "cache_bytes_per_token": _INT,
}
CELL = {
    "model": _TEXT,
    "family": _TEXT,
    "task": _TEXT,
    "method": _TEXT,
    "method_family": _TEXT,
    "setting": _TEXT,
    "line": _TEXT,  # the method with its settings but for the sparsity: what is drawn as one line
    "sparsity": _FLOAT,
    "control": _BOOL,
    "n_splits": _INT,
}
HEADLINE = {
    "metric": _TEXT,  # its name in the study, completed by the data set where it is used on several
    "module": _TEXT,  # the metric's own name
    "kind": _TEXT,  # intrinsic, extrinsic, damage, task
    "dataset": _TEXT,
    "statistic": _TEXT,
    "group": _TEXT,
    "higher_is": _TEXT,
    "n_items": _INT,
    "unbiased": _FLOAT,
    "random": _FLOAT,
    "value": _FLOAT,  # mean over splits; low, high: error over items, about these checkpoints
    "low": _FLOAT,
    "high": _FLOAT,
    "training_low": _FLOAT,  # about training in general: three splits or more
    "training_high": _FLOAT,
    "influence": _FLOAT,  # of a baseline: the largest change of the value without one cluster of items
}
VERDICT = {
    "baseline": _FLOAT,
    "change": _FLOAT,  # D
    "change_low": _FLOAT,
    "change_high": _FLOAT,
    "change_p": _FLOAT,
    "change_p_adjusted": _FLOAT,
    "change_inside_p": _FLOAT,  # of two one-sided tests that the change is not inside the margin
    "has_null": _BOOL,  # the metric has a null of lost signal
    "null_from": _TEXT,  # what the null rests on: neutral contrast, own signal, undirected damage
    "kept": _FLOAT,  # K
    "kept_low": _FLOAT,
    "kept_high": _FLOAT,
    "null": _FLOAT,  # N
    "null_low": _FLOAT,
    "null_high": _FLOAT,
    "explained": _FLOAT,  # N - baseline
    "residual": _FLOAT,  # R = value - N
    "residual_low": _FLOAT,
    "residual_high": _FLOAT,
    "residual_p": _FLOAT,
    "residual_p_adjusted": _FLOAT,
    "residual_inside_p": _FLOAT,
    "residual_training_p": _FLOAT,
    "other_residual": _FLOAT,  # by the metric's second contrast
    "damage": _FLOAT,
    "damage_low": _FLOAT,
    "damage_high": _FLOAT,
    "n_controls": _INT,
    "control_low": _FLOAT,  # residuals of undirected damage of this size: 95% prediction interval
    "control_high": _FLOAT,
    "control_p": _FLOAT,
    "control_p_adjusted": _FLOAT,
    "margin": _FLOAT,
    "mde": _FLOAT,  # minimum detectable residual; the change's where there is no null
    "items_needed": _FLOAT,
    "controls_needed": _FLOAT,
    "task_score": _FLOAT,
    "task_score_baseline": _FLOAT,
    "task_score_reference": _FLOAT,
    "performance_kept": _FLOAT,
    "baseline_learned": _BOOL,  # the baseline's task score differs from the reference
    "own_skill_kept": _FLOAT,
    "validity": _TEXT,  # passed, checkpoints only, failed, untested
    "verdict": _TEXT,
    "reason": _TEXT,
}
RESULTS = pa.schema(list({**IDENTITY, **SCORE, **LEDGER}.items()))
CELLS = pa.schema(list({**CELL, **HEADLINE, **VERDICT, **LEDGER}.items()))
"""One row per model, task, compression or control, and metric: its headline, averaged over splits, and the verdict."""
MEASUREMENTS = pa.schema([("key", _TEXT), ("name", _TEXT), ("value", _FLOAT)])

_ABOUT = b"fairshrink"


def frame(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pd.DataFrame:
    """Rows as a DataFrame with the schema's columns, in its order and with its types; NaN and None are null.

    Floats keep 12 significant digits: the rest depends on how many threads added them up.
    """
    columns = {field.name: [_clean(row.get(field.name), field.type) for row in rows] for field in schema}
    return _to_pandas(pa.table(columns, schema=schema))


def write(table: pd.DataFrame, schema: pa.Schema, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write Parquet with ``about`` (JSON-able) in the file's metadata; equal tables give equal bytes."""
    metadata = {_ABOUT: json.dumps(about, sort_keys=True)} if about is not None else None
    data = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    pq.write_table(data.replace_schema_metadata(metadata), path, compression="zstd", version="2.6")


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A table written by `write`, and what it says about itself (an empty mapping if nothing)."""
    data = pq.read_table(path)
    about = json.loads((data.schema.metadata or {}).get(_ABOUT, b"{}"))
    return _to_pandas(data.replace_schema_metadata(None)), about


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Inside, what reading a table raises that is not there, or damaged, is a UserError. Used where people read it."""
    if not path.is_file():
        raise UserError(f"{path}: there are no such results; run the study (`make`)")
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())[:200]}). `make verify` puts it aside; then run again."
        ) from error


def read_items(path: Path, clusters: Sequence[str] = ("cluster",)) -> pd.DataFrame:
    """Per-item scores, sorted by item, with the columns named in ``clusters``.

    UserError if the file is missing; ValueError if it is no score table.
    """
    if not path.is_file():
        raise UserError(f"{path}: these scores do not exist. Run the workflow, which makes what is missing.")
    items = pq.read_table(path).to_pandas()
    if missing := {"item", "cluster", *clusters} - set(items.columns):
        raise ValueError(f"{path}: no column {' or '.join(sorted(missing))}; a metric must give it")
    if items["item"].duplicated().any():
        raise ValueError(f"{path}: item {items['item'][items['item'].duplicated()].iloc[0]!r} is there twice")
    return items.sort_values("item", kind="stable", ignore_index=True)


def _to_pandas(data: pa.Table) -> pd.DataFrame:
    integers = {_INT: pd.Int64Dtype()}
    return data.to_pandas(types_mapper=integers.get)


def _clean(value: Any, kind: pa.DataType) -> Any:
    if value is None or value != value:
        return None
    if kind == _FLOAT:
        return float(f"{float(value):.12g}")
    if kind == _BOOL:
        return bool(value)
    return int(value) if kind == _INT else str(value)
