"""Every readable table of a study, written from the table of cells and the checks on metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fairshrink.analysis.agreement import COLUMNS as AGREEMENT
from fairshrink.analysis.degeneracy import COLUMNS as DEGENERACY
from fairshrink.analysis.flips import COLUMNS as FLIPS
from fairshrink.analysis.validity import COLUMNS as VALIDITY
from fairshrink.contracts import BASELINE
from fairshrink.reporting import csv_files, digits, marks, overview, selection
from fairshrink.reporting.outputs import BY_OCCUPATION, CUTS, GROUPED
from fairshrink.reporting.selection import CELL
from fairshrink.reporting.tables import checked, costs, cutoff, forms, groups, judged, occupations

PLOTTED = ["metric", "sparsity", "value", "low", "high", "change", "change_low", "change_high"]
VALUE_OF = {
    "bias_nli": ("p_neutral", "Probability of neutral, 1 for an unbiased model and lower for a more biased one"),
    "bias_sts": (
        "difference",
        "Similarity with the man's sentence less the woman's, farther from 0 is more biased",
    ),
}
"""The value of an item of each metric with a table by occupation, and what it is."""


def write(
    cells: pd.DataFrame,
    agreement: pd.DataFrame,
    flips: pd.DataFrame,
    degeneracy: pd.DataFrame,
    validity: pd.DataFrame,
    results: pd.DataFrame,
    about: Mapping[str, Any],
    folder: Path,
    measurements: pd.DataFrame | None = None,
    by_occupation: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Write every table that `outputs.tables` names into ``folder``, but for the Parquet files and the page.

    ``cells``: `results_file.CELLS`; ``results``: `results_file.RESULTS`; ``about``: `analysis.results.about`;
    ``by_occupation``: for each metric of the study, by its name there, that has such a table, what
    `occupations.of_checkpoints` returns. Frames may be empty. ValueError where an interval of a cell does not contain
    the cell's value.
    """
    cells = selection.texts(cells)
    check_intervals(cells)
    level = float(about["level"])
    measured = pd.DataFrame(columns=["key", "name", "value"]) if measurements is None else measurements
    made = judged.verdicts(cells)
    forms.write(made, judged.document(made, level), folder)
    damage = costs.damage(cells, results)
    forms.write(damage, costs.damage_document(damage, level), folder)
    ledger = costs.ledger(cells, results, measured)
    forms.write(ledger, costs.ledger_document(ledger, cells), folder)
    whole = checked.complete(agreement, AGREEMENT)
    forms.write(whole, checked.agreement(whole, level), folder)
    whole = checked.complete(flips, FLIPS)
    forms.write(whole, checked.flips(whole), folder)
    whole = checked.complete(degeneracy, DEGENERACY)
    forms.write(whole, checked.degeneracy(whole), folder)
    whole = checked.complete(validity, VALIDITY)
    forms.write(whole, checked.validity(whole, level), folder)
    csv_files.write(bias_by_sparsity(cells), folder / "bias_by_sparsity.csv")
    text = json.dumps(judged.headline(cells), indent=1, ensure_ascii=False)
    (folder / "headline.json").write_text(text + "\n", encoding="utf-8")
    kept = selection.performance(cells)
    for task in sorted(set(cells["task"])):
        _overviews(cells[cells["task"] == task], task, kept, level, folder)
    for entry, metric in sorted(about["metrics"].items()):
        if metric["module"] in GROUPED:
            _groups(groups.by_group(results, entry, metric["statistic"]), cells, entry, metric, kept, level, folder)
        if metric["module"] in BY_OCCUPATION:
            found = (by_occupation or {}).get(entry, pd.DataFrame(columns=occupations.COLUMNS))
            _occupations(found, cells, entry, metric["module"], kept, level, folder)


def check_intervals(cells: pd.DataFrame) -> None:
    """ValueError naming the first cell in which an interval does not contain its own point."""
    for low, value, high in (
        ("low", "value", "high"),
        ("training_low", "value", "training_high"),
        ("change_low", "change", "change_high"),
        ("null_low", "null", "null_high"),
        ("residual_low", "residual", "residual_high"),
        ("kept_low", "kept", "kept_high"),
        ("damage_low", "damage", "damage_high"),
    ):
        sound = digits.within(cells[low], cells[value], cells[high])
        if not sound.all():
            row = cells[~sound].iloc[0]
            name = " ".join(str(row[each]) for each in (*CELL, "metric"))
            raise ValueError(f"{name}: {value} {row[value]} is outside its interval [{row[low]}, {row[high]}]")


def bias_by_sparsity(cells: pd.DataFrame) -> pd.DataFrame:
    """Long table for plots: bias headlines of the baseline (sparsity 0) and of every compression with a sparsity."""
    bias = selection.bias(cells)
    bias = bias[(bias["method"] == BASELINE) | (bias["sparsity"].notna() & ~bias["control"])]
    bias = bias.assign(sparsity=bias["sparsity"].where(bias["method"] != BASELINE, 0.0))
    order = ["model", "task", "metric", "method", "sparsity", "setting"]
    columns = [*CELL, *PLOTTED, "unbiased", "random", "n_splits", "verdict"]
    return bias[columns].sort_values(order, kind="stable")


def _overviews(cells: pd.DataFrame, task: str, kept: pd.Series, level: float, folder: Path) -> None:
    title, listed = task.replace("_", " "), cells[~(cells["control"] & selection.is_seed(cells["setting"]))]
    for cut in CUTS:
        rows = selection.above_the_cut(cells, kept) if cut else cells
        note = cutoff.note(listed, kept) if cut else ""
        made = overview.overview(rows, task, level)
        shown = overview.document(made, f"overview_{task}{cut}", title, note)
        forms.write(overview.numbers(rows, task), shown, folder)


def _groups(
    table: pd.DataFrame,
    cells: pd.DataFrame,
    entry: str,
    metric: Mapping[str, Any],
    kept: pd.Series,
    level: float,
    folder: Path,
) -> None:
    ordered = _in_order(_without_draws(table), cells)
    mine = cells[cells["module"] == metric["module"]]
    direction = marks.direction(mine["higher_is"].iloc[0], mine["unbiased"].mean()) if len(mine) else ""
    for cut in CUTS:
        rows = selection.above_the_cut(ordered, kept) if cut else ordered
        note = cutoff.note(ordered, kept) if cut else ""
        what = GROUPED[metric["module"]]
        shown = groups.document(rows, f"groups_{entry}{cut}", entry, what, level, note, direction)
        forms.write(rows, shown, folder)


def _occupations(
    table: pd.DataFrame, cells: pd.DataFrame, entry: str, module: str, kept: pd.Series, level: float, folder: Path
) -> None:
    ordered = _in_order(_without_draws(table), cells)
    for cut in CUTS:
        rows = selection.above_the_cut(ordered, kept) if cut else ordered
        note = cutoff.note(ordered, kept) if cut else ""
        what = VALUE_OF[module][1]
        shown = occupations.document(rows, f"occupations_{entry}{cut}", entry, what, level, note)
        forms.write(rows, shown, folder)


def _without_draws(table: pd.DataFrame) -> pd.DataFrame:
    """Without controls that are drawn several times, which are in the table of damage."""
    return table[~selection.is_seed(table["setting"])]


def _in_order(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Rows in the reading order of the cells that they belong to."""
    places = dict.fromkeys(cells[CELL].itertuples(index=False, name=None))
    rank = {place: i for i, place in enumerate(places)}
    order = pd.Series([rank.get(each, len(rank)) for each in table[CELL].itertuples(index=False, name=None)])
    return table.iloc[order.sort_values(kind="stable").index].reset_index(drop=True)
