"""A metric that a study has with several settings on the same data: its headline over them, as a random factor.

What a setting such as a prompt, a pooling or a seed is should not matter, but does. The settings are taken for a sample
of those that somebody might have chosen: the mean over them has their spread in its error, beside that of the items,
which all of them share. This is the statistics of splits (`stats.splits`) with settings in their place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis.joint import Joint, join, measure, over_joint
from fairshrink.analysis.scores import Family, Metrics, Scored, families, read
from fairshrink.contracts import BIAS_KINDS, CONTROLS, AnyMetric
from fairshrink.stats.estimates import Statistic, Values, combine, difference
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, data_of

COLUMNS = [
    "model", "task", "method", "setting", "metric", "data", "statistic", "what", "n_settings", "settings", "mean",
    "low", "high", "items_low", "items_high", "spread", "least", "most",
]  # fmt: skip
"""One row for the value of a baseline, and for the change of each compression: ``low`` to ``high`` for any settings,
``items_low`` to ``items_high`` for these; ``spread`` is the standard deviation over them."""


def over_settings(job: AggregateJob, metrics: Metrics) -> pd.DataFrame:
    """The table; empty where no metric has several settings. Controls are left out."""
    checkpoints = {each.key: each for each in job.checkpoints}
    found: dict[tuple[str, str, str, str], list[Family]] = defaultdict(list)
    for family in families(job):
        found[family.model, family.task, family.metric, data_of(family.dataset)].append(family)
    rows = [
        row
        for (model, task, metric, data), mine in sorted(found.items())
        if len(mine) > 1 and metrics[metric].KIND in BIAS_KINDS
        for row in _rows(mine, metrics, checkpoints, job.level, {"model": model, "task": task, "data": data})
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(
    mine: Sequence[Family],
    metrics: Metrics,
    checkpoints: Mapping[str, CheckpointEntry],
    level: float,
    where: dict[str, str],
) -> Iterator[dict[str, Any]]:
    module = metrics[mine[0].metric]
    before = [_of(each, each.baselines, metrics, checkpoints) for each in mine]
    yield _row(module, mine, before, None, level) | where | {"method": "none", "setting": ""}
    for (method, setting), keys in _cells(mine, checkpoints):
        after = [_of(each, key, metrics, checkpoints) for each, key in zip(mine, keys, strict=True)]
        base = [{split: one[split] for split in other} for one, other in zip(before, after, strict=True)]
        yield _row(module, mine, after, base, level) | where | {"method": method, "setting": setting}


def _cells(
    mine: Sequence[Family], checkpoints: Mapping[str, CheckpointEntry]
) -> Iterator[tuple[tuple[str, str], list[dict[int, str]]]]:
    """Compressions that all families have, each with the keys of its checkpoints by split, one dict a family."""
    cells: list[dict[tuple[str, str], dict[int, str]]] = []
    for family in mine:
        own: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        for split, scores in family.scores.items():
            for key in scores:
                who = checkpoints[key].identity
                if key != family.baselines[split] and who.method_family != CONTROLS:
                    own[who.method, who.setting][split] = key
        cells.append(own)
    for place in sorted(set(cells[0]).intersection(*cells[1:])):
        yield place, [each[place] for each in cells]


def _of(
    family: Family, keys: Mapping[int, str], metrics: Metrics, checkpoints: Mapping[str, CheckpointEntry]
) -> dict[int, Scored]:
    return {split: read(family.scores[split][key], checkpoints[key], metrics) for split, key in sorted(keys.items())}


def _row(
    module: AnyMetric,
    mine: Sequence[Family],
    scored: Sequence[Mapping[int, Scored]],
    base: Sequence[Mapping[int, Scored]] | None,
    level: float,
) -> dict[str, Any]:
    """The mean over settings of the value, or of its change from ``base``; each setting is a mean over its splits."""
    flat = [each for one in scored for each in one.values()]
    joint = join([each.items for each in flat], module.CLUSTERS)
    estimates, at, smooth = [], 0, True
    for number, one in enumerate(scored):
        parts = []
        for split, each in one.items():
            statistic = _headline(each, module)
            smooth = smooth and statistic.smooth
            own = statistic.resampled
            if base is not None:
                own = difference(own, _headline(base[number][split], module).resampled)
            parts.append(over_joint(own, joint.rows[at], joint.n))
            at += 1
        estimates.append(combine(_mean, *parts))
    every = Joint(joint.n, (np.arange(joint.n),) * len(estimates), joint.clusters)
    (found,) = measure(every, estimates, smooth=smooth)
    values = [each.value for each in found.splits]
    low, high = found.training.interval(level)
    items = found.checkpoints.interval(level)
    return {
        "metric": mine[0].metric,
        "statistic": module.HEADLINE[0],
        "what": "value" if base is None else "change",
        "n_settings": len(mine),
        "settings": ", ".join(each.entry for each in mine),
        "mean": found.checkpoints.value,
        "low": low,
        "high": high,
        "items_low": items[0],
        "items_high": items[1],
        "spread": float(np.std(values, ddof=1)),
        "least": min(values),
        "most": max(values),
    }


def _headline(each: Scored, module: AnyMetric) -> Statistic:
    found = each.find(*module.HEADLINE)
    if found is None:
        raise ValueError(f"{each.checkpoint.name}: the headline {module.HEADLINE} is not among the statistics")
    return found


def _mean(*values: Values) -> Values:
    return np.mean(np.stack(values), axis=0)
