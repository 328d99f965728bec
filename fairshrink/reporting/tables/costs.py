"""What a compression costs: the damage to a model, and the ledger of size and speed beside its bias."""

from __future__ import annotations

import pandas as pd

from fairshrink.contracts import BIAS_KINDS
from fairshrink.reporting import digits, marks, selection
from fairshrink.reporting.markup import Cell, Document, Grid, Marked
from fairshrink.reporting.overview import value_text
from fairshrink.reporting.selection import CELL
from fairshrink.reporting.tables.groups import WHOLE, by_group

LEDGER = [
    "params",
    "bytes",
    "effective_bits",
    "zero_fraction_prunable",
    "zero_fraction_total",
    "flops_per_token",
    "cache_bytes_per_token",
]
MEASURED = ["latency_ms", "latency_ratio"]
ENERGY = "energy_j_per_1000_items"
DAMAGE_COLUMNS = [*CELL, "control", "metric", "statistic", "n_splits", "value", "low", "high", "performance_kept"]


def damage(cells: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, controls included, and statistic of a metric of damage; the performance kept beside it.

    The headline is from the cells, the other statistics from the results table.
    """
    rows = cells[cells["kind"] == "damage"]
    kept = selection.performance(cells)
    share = rows[CELL].apply(lambda place: kept.get(tuple(place)), axis=1) if len(rows) else None
    headlines = rows.assign(performance_kept=share)[DAMAGE_COLUMNS]
    parts = [headlines]
    for module, statistic in sorted(set(zip(rows["module"], rows["statistic"], strict=True))):
        scored = results[results["metric"] == module]
        for other in sorted(set(scored.loc[scored["group"] == WHOLE, "statistic"]) - {statistic}):
            found = by_group(scored[scored["group"] == WHOLE], module, other)
            labels = headlines.drop_duplicates(CELL)[[*CELL, "control", "performance_kept"]]
            parts.append(found.merge(labels, on=CELL, how="inner")[DAMAGE_COLUMNS])
    table = pd.concat([each for each in parts if len(each)] or [headlines], ignore_index=True)
    rank = {place: i for i, place in enumerate(dict.fromkeys(cells[CELL].itertuples(index=False, name=None)))}
    order = pd.Series([rank[place] for place in table[CELL].itertuples(index=False, name=None)], dtype=int)
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def damage_document(table: pd.DataFrame, level: float) -> Document:
    """One grid per model and task, one column per statistic."""
    grids = []
    for (model, task), rows in selection.each_pair(table):
        statistics = list(dict.fromkeys(rows["statistic"]))
        lines: list[tuple[Cell, ...]] = []
        for (method, setting), cell in rows.groupby(["method", "setting"], sort=False):
            texts = {r["statistic"]: digits.with_interval(r["value"], r["low"], r["high"]) for _, r in cell.iterrows()}
            labels = (
                selection.method_name(str(method)),
                str(setting),
                digits.percent(cell["performance_kept"].iloc[0]),
            )
            lines.append((*labels, *(texts.get(each, digits.MISSING) for each in statistics)))
        names = (each.replace("_", " ") for each in statistics)
        columns = ("method", "setting", "performance kept", *names)
        grids.append(Grid(f"{model}, {task}", columns, tuple(lines), len(statistics) + 1))
    note = (
        f"Distance of a checkpoint's outputs from its baseline's on held-out items, [{level:.0%} interval over items]; "
        "controls of damage at the end. A change of bias is to be compared with that of controls of equal damage. "
        "Higher is more damage, of same top lower; mean difference has a sign and no direction."
    )
    return Document("damage", "Damage", tuple(grids), note)


def ledger(cells: pd.DataFrame, results: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per baseline and compression: size, cost and latency, and beside them each bias metric's headline.

    Latency is the mean over the splits that measured it; it differs from run to run. Energy is that of scoring the
    task's items, with all that the processor did meanwhile; missing where the machine could not tell.
    """
    mine = cells[~cells["control"]]
    table = mine.drop_duplicates(CELL)[[*CELL, *LEDGER]]
    table = table.merge(latency(results, measurements), on=CELL, how="left")
    table = table.merge(energy(cells, results, measurements), on=CELL, how="left")
    for name in selection.metrics(mine[mine["kind"] != "damage"]):
        part = mine[mine["metric"] == name]
        columns = ["value", "low", "high", *(["verdict"] if part["kind"].isin(BIAS_KINDS).any() else [])]
        names = {each: name if each == "value" else f"{name}_{each}" for each in columns}
        table = table.merge(part[[*CELL, *columns]].rename(columns=names), on=CELL, how="left")
    return table.reset_index(drop=True)


def latency(results: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """``CELL`` and the measured latency in ms and relative to the baseline; no row where nothing was measured."""
    return _means(results, measurements, MEASURED)


def energy(cells: pd.DataFrame, results: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """``CELL`` and the joules of scoring 1,000 items of the task, where they were counted."""
    names = [f"score_{ENERGY}/{name}" for name in dict.fromkeys(cells.loc[cells["kind"] == "task", "metric"])]
    found = _means(results, measurements, names)
    return found[CELL].assign(**{ENERGY: found[names].mean(axis=1)})


def _means(results: pd.DataFrame, measurements: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The mean over splits of what was measured under these names; no row where nothing was."""
    if measurements.empty or results.empty:
        return pd.DataFrame({name: pd.Series(dtype=str if name in CELL else float) for name in [*CELL, *names]})
    wide = measurements[measurements["name"].isin(names)].pivot_table(index="key", columns="name", values="value")
    places = results.drop_duplicates("key").assign(setting=results["setting"].fillna(""))[[*CELL, "key"]]
    joined = places.merge(wide.reindex(columns=names).reset_index(), on="key", how="inner")
    return joined.groupby(CELL, sort=False)[names].mean().reset_index()


def ledger_document(table: pd.DataFrame, cells: pd.DataFrame) -> Document:
    """One grid per model and task: size and speed, then the task score and the bias metrics with their verdicts."""
    grids = []
    for (model, task), rows in selection.each_pair(table):
        mine = cells[(cells["model"] == model) & (cells["task"] == task) & (cells["kind"] != "damage")]
        metrics = selection.metrics(mine)
        by_place = {(r["method"], r["setting"], r["metric"]): r for _, r in mine.iterrows()}
        lines = []
        for _, row in rows.iterrows():
            scored = [by_place.get((row["method"], row["setting"], name)) for name in metrics]
            labels = (selection.method_name(row["method"]), row["setting"])
            lines.append((*labels, *_sizes(row), *(_entry(each) for each in scored)))
        heads = (marks.head(name, mine[mine["metric"] == name]) for name in metrics)
        sizes = ("MB", "bits per weight", "zeros", "MFLOPs per token", "latency ratio", "J per 1,000 items")
        columns = ("method", "setting", *sizes, *heads)
        grids.append(Grid(f"{model}, {task}", columns, tuple(lines), len(sizes) + len(metrics)))
    heads_there = [each for grid in grids for each in grid.columns]
    note = (
        "MB: a million bytes of the stored model; zeros: share of all weights; latency ratio: measured against the "
        "baseline in the same process, it differs from run to run; J: energy of the processors while the task's items "
        "were scored, with all else that ran, where there is a counter (RAPL) and no GPU computed. "
    )
    note += marks.arrows_explained(heads_there) + marks.directions_explained(cells[cells["kind"] != "damage"])
    note += marks.legend(cells["verdict"])
    return Document("ledger", "Size and speed beside bias", tuple(grids), note)


def _sizes(row: pd.Series) -> tuple[str, ...]:
    return (
        _scaled(row["bytes"], 1e6),
        digits.plain(row["effective_bits"]),
        digits.percent(row["zero_fraction_total"]),
        _scaled(row["flops_per_token"], 1e6),
        digits.plain(row["latency_ratio"]),
        digits.plain(row[ENERGY]),
    )


def _entry(row: pd.Series | None) -> Cell:
    if row is None:
        return digits.MISSING
    return Marked(value_text(row), marks.MARKS.get(row["verdict"], "") if isinstance(row["verdict"], str) else "")


def _scaled(value: float, unit: float) -> str:
    return digits.MISSING if pd.isna(value) else digits.plain(float(value) / unit)
