"""From per-item scores to the results table: one row per checkpoint, metric, group and statistic.

A checkpoint is resampled together with its baseline and all that were made from it, under the same weights, so that
intervals and paired tests come from one pass. Reads scores and provenance only: no model, no torch.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.contracts import RANDOM_INIT, AnyMetric
from fairshrink.errors import UserError
from fairshrink.stats.estimates import Statistic, Values, bootstrap_counts, interval, paired_p, resample
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, ScoreEntry

Metrics = Mapping[str, AnyMetric]
"""The metrics of a study by their own names."""
_ORDER = ["model", "task", "split", "seed", "method", "sparsity", "setting", "key"]
_ORDER += ["metric", "dataset", "group", "statistic"]


@dataclass(frozen=True)
class Summary:
    """What one metric says about one checkpoint."""

    checkpoint: CheckpointEntry
    items: pd.DataFrame
    statistics: list[Statistic]


def build(job: AggregateJob, metrics: Metrics) -> pd.DataFrame:
    """The results table of a study, sorted, with the columns of ``store.RESULTS``.

    Intervals are percentile intervals of a cluster bootstrap and are missing where there are fewer than two
    clusters. ``p_value`` is the two-sided paired bootstrap test against the baseline on the same resamples; metrics of
    damage have none, as a distance from the baseline is not below its 0 in any resample. Counts
    (items skipped, ties) are facts about this data set, not estimates: their interval is the value itself and they
    have no p-value. ``random_value`` is theory's where the metric knows it, else what the random-initialization
    control of the same model, task and split scored. Raises UserError where scores are missing or the items of a
    checkpoint and its baseline differ.
    """
    checkpoints = {each.key: each for each in job.checkpoints}
    families: dict[tuple[str, str, str], list[ScoreEntry]] = defaultdict(list)
    for score in job.scores:
        families[score.entry, score.dataset, checkpoints[score.checkpoint].baseline_key].append(score)
    rows: list[dict[str, Any]] = []
    for (entry, dataset, baseline), scores in sorted(families.items(), key=lambda each: each[0]):
        labels = {"metric": entry, "dataset": dataset}
        summaries = {score.checkpoint: _summary(score, checkpoints, metrics) for score in scores}
        if baseline not in summaries:
            name = checkpoints[baseline].name if baseline in checkpoints else baseline
            raise UserError(
                f"metric {entry}: the baseline {name} has no scores to compare with. "
                "Evaluate the baseline with every metric that its compressed checkpoints are evaluated with."
            )
        tested = metrics[scores[0].metric].KIND != "damage"
        rows += [labels | row for row in _compare(entry, summaries, baseline, job, tested)]
    _measure_random(rows)
    ledgers = {key: _ledger(each) for key, each in checkpoints.items()}
    rows = [asdict(checkpoints[row["key"]].identity) | ledgers[row["key"]] | row for row in rows]
    table = results_file.frame(rows, results_file.RESULTS).sort_values(_ORDER, kind="stable", ignore_index=True)
    repeated = table.duplicated(["key", "metric", "dataset", "group", "statistic"])
    if repeated.any():
        row = table[repeated].iloc[0]
        raise ValueError(f"metric {row['metric']} gives {row['statistic']} of group {row['group']} twice")
    return table


def about(job: AggregateJob, metrics: Metrics) -> dict[str, Any]:
    """What the readable tables need beside the rows: each metric's kind and headline, each method's family."""
    described = {}
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
        "resamples": job.resamples,
        "metrics": described,
        "methods": {each.identity.method: each.identity.method_family for each in job.checkpoints},
    }


def measurements(job: AggregateJob) -> pd.DataFrame:
    """What was measured and differs from run to run: key of the checkpoint × name × value.

    Names are as in provenance; cost of scoring is named ``score_<what>/<metric's name in the study>``.
    """
    rows = []
    for each in job.checkpoints:
        record = _provenance(each)
        rows += [{"key": each.key, "name": n, "value": v} for n, v in record.get("measurements", {}).items()]
        rows += [{"key": each.key, "name": n, "value": v} for n, v in _cost(record).items()]
    for score in job.scores:
        for name, value in _cost(_read(Path(score.record), score.entry)).items():
            rows.append({"key": score.checkpoint, "name": f"score_{name}/{score.entry}", "value": value})
    numbers = [row for row in rows if isinstance(row["value"], int | float)]
    table = results_file.frame(numbers, results_file.MEASUREMENTS)
    return table.sort_values(["key", "name"], kind="stable", ignore_index=True)


def _summary(score: ScoreEntry, checkpoints: Mapping[str, CheckpointEntry], metrics: Metrics) -> Summary:
    module = metrics[score.metric]
    items = results_file.read_items(Path(score.path))
    statistics = list(module.summarize(items, module.Settings(**score.settings)))
    return Summary(checkpoints[score.checkpoint], items, statistics)


def _compare(
    entry: str, summaries: Mapping[str, Summary], baseline: str, job: AggregateJob, tested: bool
) -> list[dict[str, Any]]:
    """Rows of a baseline and of all checkpoints made from it, with p-values if ``tested``."""
    reference = summaries[baseline]
    for summary in summaries.values():
        _same_items(entry, summary, reference)
    cells = [(key, each) for key, summary in sorted(summaries.items()) for each in summary.statistics]
    n = len(reference.items)
    points = [each.value(n) for _, each in cells]
    sampled = [i for i, (_, each) in enumerate(cells) if each.sampled]
    draws = _draws([cells[i][1] for i in sampled], reference.items["cluster"], job)
    drawn: dict[int, Values] = dict(zip(sampled, draws, strict=True)) if draws is not None else {}
    base = {(each.group, each.name): i for i, (key, each) in enumerate(cells) if key == baseline}
    rows = []
    for i, (key, each) in enumerate(cells):
        other = base.get((each.group, each.name))
        count = each.higher_is == "count"
        low, high = interval(drawn[i], job.level) if i in drawn else (np.nan, np.nan)
        rows.append(
            {
                "key": key,
                "group": each.group,
                "statistic": each.name,
                "value": points[i],
                "ci_low": points[i] if count else low,
                "ci_high": points[i] if count else high,
                "n_items": each.n_items,
                "unbiased_value": each.unbiased,
                "random_value": each.random,
                "p_value": _paired(drawn, i, other) if tested and key != baseline else None,
                "baseline_value": None if other is None else points[other],
                "_control": None if count else _control(summaries[key].checkpoint),
            }
        )
    return rows


def _paired(drawn: Mapping[int, Values], one: int, other: int | None) -> float | None:
    """The paired p-value of two cells under the same resamples; None where one of them has none."""
    return paired_p(drawn[one], drawn[other]) if other is not None and {one, other} <= drawn.keys() else None


def _draws(statistics: list[Statistic], clusters: pd.Series, job: AggregateJob) -> np.ndarray | None:
    codes = np.unique(clusters.to_numpy(dtype=str), return_inverse=True)[1]
    n = int(codes.max(initial=-1)) + 1
    if n < 2 or not statistics:
        return None
    return resample([each.resampled for each in statistics], codes, _counts(n, job.resamples, job.seed))


@lru_cache(maxsize=4)
def _counts(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    return bootstrap_counts(n_clusters, n_resamples, seed)


def _same_items(entry: str, summary: Summary, reference: Summary) -> None:
    here, there = summary.items, reference.items
    if here[["item", "cluster"]].equals(there[["item", "cluster"]]):
        return
    extra = sorted(set(here["item"]) - set(there["item"]))
    absent = sorted(set(there["item"]) - set(here["item"]))
    example = (extra or absent or ["same items in other clusters"])[0]
    raise UserError(
        f"metric {entry}: {summary.checkpoint.name} and its baseline {reference.checkpoint.name} were "
        f"scored on different items ({len(extra)} only in the first, {len(absent)} only in the second, such as "
        f"{example!r}), so they cannot be compared in pairs. Remove both score files and run again."
    )


def _control(checkpoint: CheckpointEntry) -> tuple[Any, ...]:
    """What identifies the random model that a checkpoint is to be compared with."""
    named = checkpoint.identity
    return (named.model, named.task, named.split), named.method == RANDOM_INIT


def _measure_random(rows: list[dict[str, Any]]) -> None:
    """Fill ``random_value`` where theory has none from the random models of the study."""

    def place(row: Mapping[str, Any], cell: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*cell, row["metric"], row["dataset"], row["group"], row["statistic"])

    measured = defaultdict(list)
    for row in rows:
        if row["_control"] and row["_control"][1]:
            measured[place(row, row["_control"][0])].append(row["value"])
    for row in rows:
        control = row.pop("_control")
        if row["random_value"] is None and control:
            values = measured.get(place(row, control[0]), [])
            row["random_value"] = float(np.mean(values)) if values else None


def _ledger(checkpoint: CheckpointEntry) -> dict[str, Any]:
    ledger = _provenance(checkpoint).get("ledger", {})
    return {name: ledger.get(name) for name in results_file.LEDGER}


def _provenance(checkpoint: CheckpointEntry) -> dict[str, Any]:
    """The record of a checkpoint; scores carry a copy, so that tables need no checkpoint."""
    record = _read(Path(checkpoint.record), checkpoint.name)
    return record.get("checkpoint", record)


def _read(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"{path}: the record of {name} is missing. "
            "Restore it (dvc pull) or run the workflow, which makes what is missing."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def _cost(record: Mapping[str, Any]) -> dict[str, float]:
    made = {**record, **record.get("made", {})}
    return {name: made[name] for name in ("wall_s", "peak_memory_bytes") if name in made}
