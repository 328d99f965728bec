"""Tables of items written as files of any of the formats that are read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fairshrink.errors import UserError
from fairshrink.judging.formats import columns, every_eval_ever, inspect_log, lm_eval
from fairshrink.judging.records import SETTINGS
from fairshrink.judging.tables import BENCHMARKS, module

ENDINGS: Mapping[str, str] = {
    "parquet": ".parquet",
    "csv": ".csv",
    lm_eval.NAME: ".jsonl",
    inspect_log.NAME: ".json",
    every_eval_ever.NAME: ".jsonl",
}
"""Formats, and how names of their files end."""


def format_of(path: Path) -> str:
    """The format of a file by its ending; a .jsonl is lm-evaluation-harness's. UserError for others."""
    found = next((name for name, ending in ENDINGS.items() if ending == path.suffix), None)
    if found is None:
        raise UserError(
            f"{path}: no format is called '{path.suffix}'; one of {', '.join(dict.fromkeys(ENDINGS.values()))}"
        )
    return found


def write(items: pd.DataFrame, metric: str, settings: Mapping[str, Any], model: str, path: Path, form: str) -> None:
    """Write the items of a metric on a model, and settings that are not the defaults; `tables.read` gives both back.

    UserError if there is no such format.
    """
    if form not in ENDINGS:
        raise UserError(f"there is no format '{form}'; one of {', '.join(ENDINGS)}")
    made_with = module(metric).Settings(**settings).model_dump(mode="json", exclude_defaults=True)
    if made_with:
        items = items.assign(**{SETTINGS: json.dumps(made_with, sort_keys=True)})
    if form in ("parquet", "csv"):
        columns.write(items, path)
        return
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in items.to_dict("records")]
    if form == lm_eval.NAME:
        lm_eval.write(rows, BENCHMARKS[metric].SCORES if metric in BENCHMARKS else (), path)
    elif form == inspect_log.NAME:
        inspect_log.write(rows, metric, model, path)
    else:
        every_eval_ever.write(rows, _values(items, metric, settings), metric, model, path)


def _values(items: pd.DataFrame, metric: str, settings: Mapping[str, Any]) -> list[float | None]:
    """The signal of each item; None where it has none."""
    found = module(metric)
    signal = found.signal(items, found.Settings(**settings)) if hasattr(found, "signal") else None
    if signal is None:
        return [None] * len(items)
    return [float(each) if math.isfinite(each) else None for each in signal.values]


def _plain(value: Any) -> Any:
    """A value as JSON has it; NaN is null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
