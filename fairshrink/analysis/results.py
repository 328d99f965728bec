"""From per-item scores to the table of results and the headlines: all that tables, figures and report are made from.

Reads scores and provenance only: no model, no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.analysis.measured import Measured, measured
from fairshrink.analysis.scores import Metrics, Scored, families, provenance, read, read_record
from fairshrink.contracts import RANDOM_INIT
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, ScoreEntry

PER_ITEMS = 1000
"""Energy of scoring is said for this many items."""
_ORDER = ["model", "task", "split", "seed", "method", "sparsity", "setting", "key"]
_ORDER += ["metric", "dataset", "group", "statistic"]


def build(job: AggregateJob, metrics: Metrics) -> tuple[pd.DataFrame, list[Measured]]:
    """The results table of a study, sorted, with the columns of `results_file.RESULTS`, and the headlines of its cells.

    Intervals are those of a jackknife over clusters of items, and of their kind for shares; missing where there is
    one cluster. ``p_value``, ``change_low``, ``change_high`` and ``mde`` are about the paired difference from the
    baseline; metrics of damage have none, as their baseline is 0 by definition. Counts (items skipped, ties) are facts
    about this data set, not estimates: their interval is the value itself and they have no p-value. ``random_value`` is
    theory's where the metric knows it, else what the random-initialization controls of the same model, task and split
    scored. Raises UserError where scores are missing or the items of a checkpoint and its baseline differ.
    """
    checkpoints = {each.key: each for each in job.checkpoints}

    def reader(score: ScoreEntry) -> Scored:
        return read(score, checkpoints[score.checkpoint], metrics)

    rows: list[dict[str, Any]] = []
    headlines: list[Measured] = []
    for family in families(job):
        for made, headline in measured(family, checkpoints, metrics[family.metric], job.level, reader):
            rows += made
            headlines.append(headline)
    _measure_random(rows, checkpoints)
    ledgers = {key: ledger(each) for key, each in checkpoints.items()}
    rows = [asdict(checkpoints[row["key"]].identity) | ledgers[row["key"]] | row for row in rows]
    _add_damage(rows)
    table = results_file.frame(rows, results_file.RESULTS).sort_values(_ORDER, kind="stable", ignore_index=True)
    repeated = table.duplicated(["key", "metric", "dataset", "group", "statistic"])
    if repeated.any():
        row = table[repeated].iloc[0]
        raise ValueError(f"metric {row['metric']} gives {row['statistic']} of group {row['group']} twice")
    return table, headlines


def ledgers(job: AggregateJob) -> dict[tuple[str, ...], dict[str, float]]:
    """The ledger of each cell by (model, task, method, setting), averaged over splits."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for each in job.checkpoints:
        who = each.identity
        found[who.model, who.task, who.method, who.setting].append(ledger(each))
    return {
        place: {
            name: float(np.mean([each[name] for each in entries]))
            for name in results_file.LEDGER
            if all(each[name] is not None for each in entries)
        }
        for place, entries in found.items()
    }


def about(job: AggregateJob, metrics: Metrics) -> dict[str, Any]:
    """What the readable tables need beside the rows: each metric's kind and headline, each method's family."""
    described: dict[str, Any] = {}
    for score in job.scores:
        module = metrics[score.metric]
        statistic, group = module.HEADLINE
        described[score.entry] = {
            "module": score.metric,
            "kind": module.KIND,
            "statistic": statistic,
            "group": group,
        }
    return {
        "study": job.study,
        "level": job.level,
        "metrics": described,
        "methods": {each.identity.method: each.identity.method_family for each in job.checkpoints},
        "shared_rows": shared_rows(job),
    }


def shared_rows(job: AggregateJob) -> dict[str, dict[str, list[int]]]:
    """By task and part that is tested on: rows with texts that were trained on, of how many; the most of any split."""
    found: dict[str, dict[str, list[int]]] = {}
    for each in job.checkpoints:
        if each.key != each.baseline_key:
            continue
        parts = found.setdefault(each.identity.task, {})
        for name, (both, rows) in provenance(each).get("shared_rows", {}).items():
            parts[name] = max(parts.get(name, [0, rows]), [both, rows])
    return {task: dict(sorted(parts.items())) for task, parts in sorted(found.items()) if parts}


def measurements(job: AggregateJob) -> pd.DataFrame:
    """What was measured and differs from run to run: key of the checkpoint × name × value.

    Names are as in provenance; cost of scoring is named ``score_<what>/<metric's name in the study>``.
    """
    rows = []
    for each in job.checkpoints:
        record = provenance(each)
        rows += [{"key": each.key, "name": n, "value": v} for n, v in record.get("measurements", {}).items()]
        rows += [{"key": each.key, "name": n, "value": v} for n, v in _cost(record).items()]
    for score in job.scores:
        record = read_record(Path(score.record), score.entry)
        cost = _cost(record)
        if "energy_j" in cost and record.get("items"):
            cost[f"energy_j_per_{PER_ITEMS}_items"] = PER_ITEMS * cost["energy_j"] / record["items"]
        for name, value in cost.items():
            rows.append({"key": score.checkpoint, "name": f"score_{name}/{score.entry}", "value": value})
    numbers = [row for row in rows if isinstance(row["value"], int | float)]
    table = results_file.frame(numbers, results_file.MEASUREMENTS)
    return table.sort_values(["key", "name"], kind="stable", ignore_index=True)


def ledger(checkpoint: CheckpointEntry) -> dict[str, Any]:
    """What a checkpoint's record says about its size and cost."""
    found = provenance(checkpoint).get("ledger", {})
    return {name: found.get(name) for name in results_file.LEDGER}


def _measure_random(rows: list[dict[str, Any]], checkpoints: Mapping[str, CheckpointEntry]) -> None:
    """Fill ``random_value`` where theory has none from the random models of the study."""

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        who = checkpoints[row["key"]].identity
        return who.model, who.task, who.split, row["metric"], row["dataset"], row["group"], row["statistic"]

    scored: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows:
        if checkpoints[row["key"]].identity.method == RANDOM_INIT and not row["_count"]:
            scored[place(row)].append(row["value"])
    for row in rows:
        values = scored.get(place(row), []) if not row.pop("_count") else []
        if row["random_value"] is None and values:
            row["random_value"] = float(np.mean(values))


def _add_damage(rows: list[dict[str, Any]]) -> None:
    """Every row has its checkpoint's damage, the headline of `fidelity`."""
    hurt = {row["key"]: row["value"] for row in rows if row["statistic"] == "damage" and row["group"] == "all"}
    for row in rows:
        row["damage"] = hurt.get(row["key"])


def _cost(record: Mapping[str, Any]) -> dict[str, float]:
    made = {**record, **record.get("made", {})}
    return {name: made[name] for name in ("wall_s", "peak_memory_bytes", "energy_j") if name in made}
