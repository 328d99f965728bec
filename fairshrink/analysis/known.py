"""What a cell is judged by that does not come from its own metric: damage, task performance, controls, the ledger."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairshrink.analysis import damage
from fairshrink.analysis.measured import Measured
from fairshrink.analysis.performance import Performance, performance, task_metric
from fairshrink.contracts import RANDOM_INIT, UNDIRECTED
from fairshrink.stats.signals import Margin

Place = tuple[str, str]
"""A model and a task."""
Used = tuple[str, str, str, str]
"""Where a metric is used: model, task, its name in the study, data set."""


@dataclass(frozen=True)
class Known:
    """What is known of a study besides one cell's metric.

    ``labels``: a headline's name by its id. ``damages``: that of each cell by (model, task, method, setting), over
    splits. ``ladders``: by (model, task, label of the metric). ``validity``: `PASSED`, `CHECKPOINTS_ONLY` or
    `FAILED` by (model, task, label).
    """

    level: float
    labels: Mapping[int, str]
    damages: Mapping[tuple[str, ...], Measured]
    performance: Mapping[Place, tuple[Performance, Mapping[tuple[str, str], float]]]
    ladders: Mapping[tuple[str, str, str], damage.Ladder]
    margins: Mapping[str, Margin]
    ledgers: Mapping[tuple[str, ...], Mapping[str, float]]
    random: Mapping[tuple[str, str, str], float]
    label_sd: Mapping[Place, float]
    validity: Mapping[tuple[str, str, str], str]

    def margin(self, each: Measured) -> Margin:
        """The study's margin of a metric, else the metric's own."""
        return self.margins.get(each.family.entry) or each.margin or Margin()


def place(each: Measured) -> tuple[str, str, str, str]:
    """What identifies a cell of whatever metric."""
    who = each.identity
    return who.model, who.task, who.method, who.setting


def owner(each: Measured) -> str:
    """The name by which a ladder knows a control, whatever the split."""
    return f"{each.identity.method} {each.identity.setting}"


def gather(
    found: Sequence[Measured],
    level: float,
    margins: Mapping[str, Margin],
    ledgers: Mapping[tuple[str, ...], Mapping[str, float]],
    validity: Mapping[tuple[str, str, str], str],
) -> Known:
    """From the headlines of a study."""
    named = labels(found)
    damages: dict[tuple[str, ...], Measured] = {place(each): each for each in found if each.module.KIND == "damage"}
    sds = {place(each)[:2]: each.label_sd for each in found if each.is_baseline and not math.isnan(each.label_sd)}
    random: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for each in found:
        if each.identity.method == RANDOM_INIT:
            random[(*place(each)[:2], named[id(each)])].append(each.value.checkpoints.value)
    return Known(
        level=level,
        labels=named,
        damages=damages,
        performance=_performances(found, named, level),
        ladders=_ladders(found, named, damages),
        margins=margins,
        ledgers=ledgers,
        random={key: float(np.mean(values)) for key, values in random.items()},
        label_sd=sds,
        validity=validity,
    )


def labels(found: Sequence[Measured]) -> dict[int, str]:
    """A metric's name, completed by the data set where it is used on several for one model and task."""
    used = {
        id(each): (each.identity.model, each.identity.task, each.family.entry, each.family.dataset) for each in found
    }
    named = names(used.values())
    return {key: named[each] for key, each in used.items()}


def names(used: Iterable[Used]) -> dict[Used, str]:
    """The name of each metric, completed by the data set where it is used on several for one model and task."""
    sets: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    every = set(used)
    for model, task, entry, dataset in every:
        sets[model, task, entry].add(dataset)
    return {each: f"{each[2]} ({each[3]})" if len(sets[each[:3]]) > 1 else each[2] for each in every}


def _performances(
    found: Sequence[Measured], labels: Mapping[int, str], level: float
) -> dict[Place, tuple[Performance, dict[tuple[str, str], float]]]:
    by_place: dict[Place, list[Measured]] = defaultdict(list)
    for each in found:
        if each.module.KIND == "task":
            by_place[each.identity.model, each.identity.task].append(each)
    made = {}
    for where, mine in by_place.items():
        name = task_metric([(labels[id(each)], "task") for each in mine])
        chosen = [each for each in mine if labels[id(each)] == name]
        scores = {(each.identity.method, each.identity.setting): each.value.checkpoints.value for each in chosen}
        made[where] = performance(chosen, level), scores
    return made


def _ladders(
    found: Sequence[Measured], labels: Mapping[int, str], damages: Mapping[tuple[str, ...], Measured]
) -> dict[tuple[str, str, str], damage.Ladder]:
    """One point for each control on each split: splits are damaged independently."""
    points: dict[tuple[str, str, str], list[tuple[float, float, str]]] = defaultdict(list)
    for each in found:
        hurt = damages.get(place(each))
        if each.identity.method not in UNDIRECTED or each.parts is None or hurt is None:
            continue
        for size, left in zip(hurt.value.splits, each.parts.beside_controls.splits, strict=True):
            amplitude = damage.amplitude(size.value, linear=hurt.linear_damage)
            points[(*place(each)[:2], labels[id(each)])].append((amplitude, left.value, owner(each)))
    return {key: damage.ladder(values) for key, values in points.items()}
