"""What one metric says about the checkpoints of one cell: rows for the results table, and the headline over splits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fairshrink.analysis.flips import Flips, flips
from fairshrink.analysis.joint import Joint, join, measure
from fairshrink.analysis.parts import Parts, change, decompose
from fairshrink.analysis.scores import Family, Scored, same_items
from fairshrink.analysis.share_differences import change_of, interval_of_difference, n_clusters
from fairshrink.contracts import BIAS_KINDS, AnyMetric
from fairshrink.stats.estimates import Statistic
from fairshrink.stats.inference import UNKNOWN, Inference
from fairshrink.stats.intervals import bounded_interval, share_interval
from fairshrink.stats.jackknife import influence
from fairshrink.stats.power import detectable_change
from fairshrink.stats.signals import Margin, Signal
from fairshrink.stats.splits import OverSplits
from fairshrink.study.jobs import CheckpointEntry, Identity, ScoreEntry

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """The headline of a metric for one compression, control or baseline, over the splits of a model and task.

    ``own_skill`` is the statistic that the metric presupposes, as (value, baseline's, reference). ``margin`` is the
    metric's default. ``label_sd`` is of the task's labels, where these are numbers. ``influence``: of a baseline, the
    largest change of the value that leaving out one cluster of the metric's first column makes. ``interval``: of the
    value, about these checkpoints.
    """

    family: Family
    module: AnyMetric
    identity: Identity
    splits: tuple[int, ...]
    statistic: Statistic
    value: OverSplits
    change: OverSplits | None
    parts: Parts | None
    flips: tuple[Flips, ...] = ()
    own_skill: tuple[float, float, float] | None = None
    margin: Margin | None = None
    linear_damage: bool = False
    label_sd: float = float("nan")
    influence: float = float("nan")
    interval: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def is_baseline(self) -> bool:
        """Whether this is the baseline itself."""
        return self.change is None


Reader = Callable[[ScoreEntry], Scored]


def measured(
    family: Family, checkpoints: Mapping[str, CheckpointEntry], module: AnyMetric, level: float, read: Reader
) -> Iterator[tuple[list[Row], Measured]]:
    """For each cell of a family the rows of its checkpoints and its headline; the baseline first.

    UserError where the items of a checkpoint and its baseline differ; ValueError where the metric does not give
    the headline that it promises.
    """
    before = {split: read(family.scores[split][key]) for split, key in family.baselines.items()}
    for cell in _cells(family, checkpoints):
        after = {
            split: before[split] if key == family.baselines[split] else read(family.scores[split][key])
            for split, key in sorted(cell.items())
        }
        for split, each in after.items():
            same_items(family.entry, each, before[split])
        pairs = [(before[split], each) for split, each in after.items()]
        headline = _headline(family, module, pairs, level)
        rows = [
            row
            for position, (one, other) in enumerate(pairs)
            for row in _rows(family, module, one, other, headline, position, level)
        ]
        yield rows, headline


def interval(found: Inference, statistic: Statistic, level: float) -> tuple[float, float]:
    """The interval of a statistic's value; of shares it is one for shares, and others stay where values can be."""
    if statistic.within is not None:
        return bounded_interval(found, *statistic.within, level)
    if statistic.share_of is None:
        return found.interval(level)
    return _of_share(found, statistic.n_items, level, statistic.share_of)


def _cells(family: Family, checkpoints: Mapping[str, CheckpointEntry]) -> Iterator[dict[int, str]]:
    """Split -> key of the checkpoints that differ in their split only; the baselines first."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for split, scores in family.scores.items():
        for key in scores:
            who = checkpoints[key].identity
            found.setdefault((who.method, who.setting), {})[split] = key
    baseline = set(family.baselines.values())
    yield from (
        cell for _, cell in sorted(found.items(), key=lambda each: (not set(each[1].values()) & baseline, each[0]))
    )


def _headline(family: Family, module: AnyMetric, pairs: Sequence[tuple[Scored, Scored]], level: float) -> Measured:
    name, group = module.HEADLINE
    before = [_promised(family.entry, one, name, group) for one, _ in pairs]
    after = [_promised(family.entry, other, name, group) for _, other in pairs]
    joint = join([other.items for _, other in pairs], module.CLUSTERS)
    (value,) = measure(joint, [each.resampled for each in after], smooth=after[0].smooth)
    first = pairs[0][1]
    is_baseline = first is pairs[0][0]
    tested = module.KIND != "damage" and not is_baseline
    found = (
        change(joint, [each.resampled for each in before], [each.resampled for each in after], smooth=after[0].smooth)
        if tested
        else None
    )
    signals = [(one.signal, other.signal) for one, other in pairs]
    known = [(one, other) for one, other in signals if one is not None and other is not None]
    in_parts = tested and module.KIND in BIAS_KINDS and len(known) == len(pairs)
    return Measured(
        family=family,
        module=module,
        identity=first.checkpoint.identity,
        splits=tuple(one.checkpoint.identity.split for one, _ in pairs),
        statistic=after[0],
        value=value,
        change=None if is_baseline else _moved(found, after[0]) if found else _untested(value),
        parts=_in_parts(joint, known, after[0]) if in_parts else None,
        flips=tuple(flips(one, other) for one, other in known) if in_parts else (),
        own_skill=_own_skill(module, pairs),
        margin=getattr(module, "MARGIN", None),
        linear_damage=any(each.name == "rms_difference" for each in first.statistics),
        label_sd=_label_sd(first),
        influence=_influence(after, [other.items[module.CLUSTERS[0]] for _, other in pairs])
        if is_baseline
        else math.nan,
        interval=interval_of_difference(joint, after, level) or interval(value.checkpoints, after[0], level),
    )


def _in_parts(joint: Joint, known: Sequence[tuple[Signal, Signal]], statistic: Statistic) -> Parts:
    found = decompose(joint, [one for one, _ in known], [other for _, other in known])
    moved = {name: _moved(found[name], statistic) for name in ("residual", "change")}
    return replace(found, by_name=found.by_name | moved)


def _moved(found: OverSplits, statistic: Statistic) -> OverSplits:
    """A change of a statistic that is made of shares has an error even if no item has changed sides."""
    return replace(found, checkpoints=change_of(found.checkpoints, statistic))


def _influence(statistics: Sequence[Statistic], clusters: Sequence[pd.Series]) -> float:
    """The largest over splits; NaN for a statistic that is not a mean over items."""
    found = [
        influence(each.resampled, column.to_numpy())
        for each, column in zip(statistics, clusters, strict=True)
        if each.smooth and each.sampled
    ]
    return max(found, default=math.nan)


def _promised(entry: str, scored: Scored, name: str, group: str) -> Statistic:
    found = scored.find(name, group)
    if found is None:
        there = sorted({(each.name, each.group) for each in scored.statistics})
        raise ValueError(f"metric {entry}: its headline {(name, group)} is not among what it gives, {there}")
    return found


def _untested(value: OverSplits) -> OverSplits:
    """The change of a damage, whose baseline is 0: a test against it means nothing."""
    mean = Inference(value.checkpoints.value, float("nan"), float("nan"))
    return OverSplits(tuple(Inference(each.value, float("nan"), float("nan")) for each in value.splits), mean, UNKNOWN)


def _own_skill(module: AnyMetric, pairs: Sequence[tuple[Scored, Scored]]) -> tuple[float, float, float] | None:
    own = getattr(module, "OWN_SKILL", None)
    if own is None:
        return None
    values = []
    for each in zip(*pairs, strict=True):
        found = [scored.find(own.statistic, own.group) for scored in each]
        points = [one.value(len(scored.items)) for one, scored in zip(found, each, strict=True) if one is not None]
        values.append(float(np.mean(points)) if len(points) == len(found) else float("nan"))
    baseline, checkpoint = values
    return checkpoint, baseline, float(own.reference)


def _label_sd(scored: Scored) -> float:
    labels = scored.items.get("label")
    if labels is None or labels.dtype.kind not in "fiu" or len(labels) < 2:
        return float("nan")
    return float(labels.std(ddof=1))


def _rows(
    family: Family, module: AnyMetric, before: Scored, after: Scored, headline: Measured, position: int, level: float
) -> Iterator[Row]:
    """The rows of one checkpoint: one for each statistic."""
    base = {(each.name, each.group): each for each in before.statistics}
    joint = join([after.items], module.CLUSTERS)
    tested = module.KIND != "damage" and after is not before
    for each in after.statistics:
        other = base.get((each.name, each.group))
        yield (
            {
                "key": after.checkpoint.key,
                "metric": family.entry,
                "dataset": family.dataset,
                "group": each.group,
                "statistic": each.name,
                "n_items": each.n_items,
                "unbiased_value": each.unbiased,
                "random_value": each.random,
                "baseline_value": None if other is None else other.value(len(before.items)),
                "_count": each.higher_is == "count",
            }
            | numbers(joint, each, other if tested else None, level, len(after.items))
            | (
                _parts_of(headline.parts, position, level)
                if headline.parts is not None and (each.name, each.group) == module.HEADLINE
                else {}
            )
        )


def numbers(joint: Joint, each: Statistic, other: Statistic | None, level: float, n: int) -> Row:
    """Value and interval of a statistic over ``n`` items and, given the baseline's, the paired difference from it."""
    if not each.sampled:
        value = each.value(n)
        known = each.higher_is == "count"
        return {"value": value, "ci_low": value if known else None, "ci_high": value if known else None}
    (found,) = measure(joint, [each.resampled], smooth=each.smooth)
    low, high = interval_of_difference(joint, [each], level) or interval(found.checkpoints, each, level)
    row: Row = {"value": found.checkpoints.value, "ci_low": low, "ci_high": high}
    if each.higher_is == "count":
        return row | {"ci_low": row["value"], "ci_high": row["value"]}
    if other is None or not other.sampled:
        return row
    moved = change_of(change(joint, [other.resampled], [each.resampled], smooth=each.smooth).checkpoints, each)
    from_baseline = moved.interval(level)
    return row | {
        "p_value": moved.p_value(),
        "change_low": from_baseline[0],
        "change_high": from_baseline[1],
        "mde": detectable_change(moved),
    }


def _of_share(found: Inference, n_items: int, level: float, unit: float) -> tuple[float, float]:
    return share_interval(found, n_items, n_clusters(found), level, unit)


def _parts_of(parts: Parts, position: int, level: float) -> Row:
    null, residual = parts["null"].splits[position], parts["residual"].splits[position]
    (null_low, null_high), (low, high) = null.interval(level), residual.interval(level)
    return {
        "signal_kept": parts["kept"].splits[position].value,
        "null_value": null.value,
        "null_low": null_low,
        "null_high": null_high,
        "residual": residual.value,
        "residual_low": low,
        "residual_high": high,
        "residual_p": residual.p_value(),
    }
