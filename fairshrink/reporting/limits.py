"""What the study cannot say, in plain sentences, and what it would take to say it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.contracts import CHECKPOINTS_ONLY, FAILED, UNTESTED
from fairshrink.reporting.answer import judged, places
from fairshrink.reporting.wording import compression, margin, words

MOST_SHOWN = 4
"""Comparisons that are listed one by one; the rest are counted."""


def limits(cells: pd.DataFrame) -> list[str]:
    """Sentences about what is unresolved, not controlled, not valid, or said of these checkpoints only."""
    rows = judged(cells)
    if rows.empty:
        return []
    return [*_unresolved(rows), *_uncontrolled(rows), *_lost(rows), *_validity(rows), *_splits(rows)]


def _unresolved(rows: pd.DataFrame) -> Iterator[str]:
    open_ = rows[rows["verdict"] == kinds.UNRESOLVED]
    if open_.empty:
        return
    what = "The data can neither show nor exclude a change as large as the margin."
    yield f"Not resolved: {_of(len(open_), len(rows))}. {what}"
    for _, row in open_.head(MOST_SHOWN).iterrows():
        yield f"{_name(row)}: {needed(row)}."
    if len(open_) > MOST_SHOWN:
        yield f"What would settle the other {len(open_) - MOST_SHOWN} is in the table of cells."


def shared_rows(about: Mapping[str, Any]) -> list[str]:
    """A sentence for each task that is tested on texts that it was trained on. ``about`` is `results.about`."""
    found = []
    for task, parts in about.get("shared_rows", {}).items():
        said = ", ".join(
            f"{both:,} of {rows:,} rows of {part.replace('_', ' ', 1)}" for part, (both, rows) in parts.items()
        )
        found.append(f"Known from training: {said} of task {task} have the texts of rows that were trained on.")
    return found


def needed(row: pd.Series) -> str:
    """What is detectable in a cell, and how many items or controls would settle it."""
    parts = []
    if row["mde"] == row["mde"]:
        limit = "" if pd.isna(row["margin"]) else f", the margin is {margin(row['margin'], row['unbiased'])}"
        parts.append(f"a change is detectable from {margin(row['mde'], row['unbiased'])} on{limit}")
    items, controls = row["items_needed"], row["controls_needed"]
    if items == items and math.isinf(items):
        parts.append("more items alone would not settle it")
    elif items == items and not items <= row["n_items"]:
        there = "" if pd.isna(row["n_items"]) else f" (there are {int(row['n_items']):,})"
        parts.append(f"about {_whole(items)} items would settle it{there}")
    if controls == controls and not controls <= row["n_controls"]:
        parts.append(_controls(row))
    return "; ".join(parts) or "what would settle it is not known"


def _uncontrolled(rows: pd.DataFrame) -> Iterator[str]:
    found = rows[rows["verdict"] == kinds.UNCONTROLLED]
    if found.empty:
        return
    yield (
        f"Damage not controlled: {_of(len(found), len(rows))}. Bias changed by more than lost signal explains, but no "
        "controls of the same damage tell whether the method did it."
    )
    wanted = found["controls_needed"].dropna()
    if len(wanted) and not math.isinf(wanted.max()):
        yield f"About {_whole(wanted.max())} control seeds of each one's damage would tell."


def _lost(rows: pd.DataFrame) -> Iterator[str]:
    found = rows[(rows["verdict"] == kinds.NOT_MEASURABLE) & (rows["validity"] != FAILED)]
    if len(found):
        yield (
            f"Not measurable: {_of(len(found), len(rows))}. The model, or the metric on it, has lost too much; a value "
            "that looks fair there says nothing about fairness."
        )


def _validity(rows: pd.DataFrame) -> Iterator[str]:
    metrics = rows.drop_duplicates(["model", "task", "metric"]).sort_values(["model", "task", "metric"])
    untested = metrics[metrics["validity"].fillna(UNTESTED) == UNTESTED]
    failed = metrics[metrics["validity"] == FAILED]
    only_here = metrics[metrics["validity"] == CHECKPOINTS_ONLY]
    if len(failed):
        yield f"Tested and failed, so no verdict on bias is based on them: {places(failed)}."
    if len(only_here):
        yield (
            "About these checkpoints only, as another seed or split of the same training moves them by more than their "
            f"margin: {places(only_here)}."
        )
    if len(untested) == len(metrics):
        yield (
            "Validity untested: this study did not test whether its metrics respond to bias that is put into a model "
            "on purpose."
        )
    elif len(untested):
        yield f"Validity untested in this study: {places(untested)}."


def _splits(rows: pd.DataFrame) -> Iterator[str]:
    few = rows[rows["n_splits"] < 3]
    if len(few):
        yield (
            f"{_of(len(few), len(rows))} have fewer than three splits: they are about these checkpoints, not about "
            "training such models in general."
        )


def _controls(row: pd.Series) -> str:
    there = "" if pd.isna(row["n_controls"]) else f" (there are {int(row['n_controls']):,})"
    wanted = row["controls_needed"]
    if math.isinf(wanted):
        return "more control seeds alone would not settle it"
    return f"about {_whole(wanted)} control seeds of its damage are needed{there}"


def _whole(value: float) -> str:
    """A count, rounded up to two digits."""
    step = 10 ** max(0, math.floor(math.log10(value)) - 1) if value > 0 else 1
    return f"{math.ceil(value / step) * step:,}"


def _name(row: pd.Series) -> str:
    name = compression(row["method"], row["setting"])
    return f"{name[:1].upper()}{name[1:]}, {words(row['metric'])} ({row['model']}, {row['task']})"


def _of(n: int, total: int) -> str:
    return f"{n:,} of {total:,} comparisons"
