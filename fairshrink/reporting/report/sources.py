"""What a study's cells were made from: the items that changed most, and checkpoints with key, code and commit."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fairshrink.analysis import known
from fairshrink.analysis.scores import Metrics, Scored, families, provenance, read
from fairshrink.contracts import BASELINE, BIAS_KINDS, CONTROLS
from fairshrink.reporting.report.payload import CellName, most_changed
from fairshrink.study.jobs import AggregateJob, CheckpointEntry

MOST_ITEMS = 12
"""Items that are kept of each split of a cell."""
_MOST_TEXTS = 3


def telling_items(job: AggregateJob, metrics: Metrics) -> dict[CellName, pd.DataFrame]:
    """The items of each cell whose signal changed most against the baseline of their split.

    Only metrics of bias that have a signal, and only compressions. Columns: ``item``, ``split`` where there are
    several, texts of the score table, ``baseline`` and ``value``: the signals of the two checkpoints.
    """
    checkpoints = {each.key: each for each in job.checkpoints}
    named = metric_names(job)
    found: dict[CellName, list[pd.DataFrame]] = defaultdict(list)
    for family in families(job):
        if metrics[family.metric].KIND not in BIAS_KINDS:
            continue
        label = named[family.model, family.task, family.entry, family.dataset]
        for split, scores in family.scores.items():
            baseline = read(scores[family.baselines[split]], checkpoints[family.baselines[split]], metrics)
            for key, score in scores.items():
                who = checkpoints[key].identity
                if who.method == BASELINE or who.method_family == CONTROLS:
                    continue
                table = _changes(baseline, read(score, checkpoints[key], metrics))
                if table is not None:
                    numbered = table.assign(split=split) if len(family.scores) > 1 else table
                    found[who.model, who.task, who.method, who.setting, label].append(numbered)
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def checkpoints(job: AggregateJob) -> list[dict[str, Any]]:
    """Where each checkpoint of a study is, its key, the commit and code that made it, and its tables of items."""
    named = metric_names(job)
    scores: dict[str, dict[str, str]] = defaultdict(dict)
    who = {each.key: each.identity for each in job.checkpoints}
    for score in job.scores:
        of = who[score.checkpoint]
        scores[score.checkpoint][named[of.model, of.task, score.entry, score.dataset]] = score.path
    return [_described(each, scores[each.key]) for each in job.checkpoints]


def metric_names(job: AggregateJob) -> Mapping[known.Used, str]:
    """Name in the table of cells, by model, task, the metric's name in the study, and data set."""
    who = {each.key: each.identity for each in job.checkpoints}
    return known.names(
        (who[score.checkpoint].model, who[score.checkpoint].task, score.entry, score.dataset) for score in job.scores
    )


def _changes(before: Scored, after: Scored) -> pd.DataFrame | None:
    """The items with the largest change; both tables are sorted by item. None where the metric has no signal."""
    if before.signal is None or after.signal is None:
        return None
    items = after.items
    texts = [name for name in items if name not in ("item", "cluster") and items[name].map(type).eq(str).all()]
    chosen = items[["item", *texts[:_MOST_TEXTS]]]
    return most_changed(chosen.assign(baseline=before.signal.values, value=after.signal.values), MOST_ITEMS).drop(
        columns="change"
    )


def _described(checkpoint: CheckpointEntry, scores: Mapping[str, str]) -> dict[str, Any]:
    record, who = provenance(checkpoint), checkpoint.identity
    code = record.get("parts", {}).get("code", {})
    digest = hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "model": who.model,
        "task": who.task,
        "method": who.method,
        "setting": who.setting,
        "split": who.split,
        "path": checkpoint.path,
        "key": checkpoint.key,
        "commit": record.get("made", {}).get("git_commit"),
        "code": f"{len(code)} definitions, sha256 {digest}…" if code else None,
        "scores": dict(scores),
    }
