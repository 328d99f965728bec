"""Score tables as the analysis reads them: items, statistics and signal of one metric on one checkpoint."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.contracts import AnyMetric
from fairshrink.errors import UserError
from fairshrink.stats.estimates import Statistic
from fairshrink.stats.signals import Signal
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, ScoreEntry

Metrics = Mapping[str, AnyMetric]
"""The metrics of a study by their own names."""


@dataclass(frozen=True)
class Scored:
    """What one metric says about one checkpoint."""

    checkpoint: CheckpointEntry
    items: pd.DataFrame
    statistics: list[Statistic]
    signal: Signal | None

    def find(self, name: str, group: str) -> Statistic | None:
        """A statistic by its name and group."""
        return next((each for each in self.statistics if (each.name, each.group) == (name, group)), None)


@dataclass(frozen=True)
class Family:
    """The score tables of one metric on all that was made from the baselines of one model on one task.

    ``scores``: split -> key of the checkpoint -> entry; ``baselines``: split -> key.
    """

    entry: str
    dataset: str
    model: str
    task: str
    metric: str
    scores: Mapping[int, Mapping[str, ScoreEntry]]
    baselines: Mapping[int, str]


def families(job: AggregateJob) -> Iterator[Family]:
    """The families of a study, sorted. UserError where a baseline has no scores."""
    checkpoints = {each.key: each for each in job.checkpoints}
    found: dict[tuple[str, str, str, str], dict[int, dict[str, ScoreEntry]]] = defaultdict(lambda: defaultdict(dict))
    for score in job.scores:
        who = checkpoints[score.checkpoint].identity
        found[score.entry, score.dataset, who.model, who.task][who.split][score.checkpoint] = score
    for (entry, dataset, model, task), splits in sorted(found.items()):
        baselines = {}
        for split, scores in sorted(splits.items()):
            (baseline,) = {checkpoints[key].baseline_key for key in scores}
            if baseline not in scores:
                name = checkpoints[baseline].name if baseline in checkpoints else baseline
                raise UserError(
                    f"metric {entry}: the baseline {name} has no scores to compare with. "
                    "Evaluate the baseline with every metric that its compressed checkpoints are evaluated with."
                )
            baselines[split] = baseline
        metric = next(iter(splits[min(splits)].values())).metric
        yield Family(entry, dataset, model, task, metric, dict(sorted(splits.items())), baselines)


def read(score: ScoreEntry, checkpoint: CheckpointEntry, metrics: Metrics) -> Scored:
    """Items with what their metric computes from them. UserError if there are none."""
    module = metrics[score.metric]
    items = results_file.read_items(Path(score.path), module.CLUSTERS)
    settings = module.Settings(**score.settings)
    signal = getattr(module, "signal", None)
    return Scored(
        checkpoint, items, list(module.summarize(items, settings)), signal(items, settings) if signal else None
    )


def same_items(entry: str, scored: Scored, reference: Scored) -> None:
    """UserError unless two checkpoints were scored on the same items."""
    here, there = scored.items, reference.items
    if here[["item", "cluster"]].equals(there[["item", "cluster"]]):
        return
    extra = sorted(set(here["item"]) - set(there["item"]))
    absent = sorted(set(there["item"]) - set(here["item"]))
    example = (extra or absent or ["same items in other clusters"])[0]
    raise UserError(
        f"metric {entry}: {scored.checkpoint.name} and its baseline {reference.checkpoint.name} were "
        f"scored on different items ({len(extra)} only in the first, {len(absent)} only in the second, such as "
        f"{example!r}), so they cannot be compared in pairs. Remove both score files and run again."
    )


def provenance(checkpoint: CheckpointEntry) -> dict[str, Any]:
    """The record of a checkpoint; scores carry a copy, so that tables need no checkpoint."""
    record = read_record(Path(checkpoint.record), checkpoint.name)
    return dict(record.get("checkpoint", record))


def read_record(path: Path, name: str) -> dict[str, Any]:
    """A provenance record. UserError if it is missing."""
    if not path.is_file():
        raise UserError(
            f"{path}: the record of {name} is missing. "
            "Restore it (dvc pull) or run the workflow, which makes what is missing."
        )
    return dict(json.loads(path.read_text(encoding="utf-8")))
