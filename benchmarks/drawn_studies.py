"""Studies of drawn checkpoints, given to the same analysis that a real study's scores are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from benchmarks.drawn_items import Cell, Drawn, Layout, Rng, baselines, compressed, damaged
from fairshrink.analysis.cells import cells
from fairshrink.analysis.measured import Measured, measured
from fairshrink.analysis.parts import PARTS, Parts
from fairshrink.analysis.scores import Family, Scored
from fairshrink.contracts import BASELINE, CONTROLS, UNDIRECTED
from fairshrink.stats.estimates import Statistic, Values
from fairshrink.stats.inference import UNKNOWN, Inference
from fairshrink.stats.reflection import Linear, as_estimate, parts
from fairshrink.stats.signals import kept
from fairshrink.stats.splits import OverSplits
from fairshrink.study.jobs import CheckpointEntry, Identity, ScoreEntry

LADDER = tuple(Cell(1 - amplitude**2 / 2) for amplitude in (0.1, 0.25, 0.6, 1.35) for _ in range(4))
"""Sixteen controls, four of each damage."""
_METRIC = "metric"
_DAMAGE = SimpleNamespace(KIND="damage", HEADLINE=("damage", "all"), CLUSTERS=("cluster",))


@dataclass(frozen=True)
class Design:
    """A study; ``law``, ``between`` and ``growth`` as in `drawn_items.compressed`."""

    compressions: tuple[Cell, ...]
    law: str = "symmetric"
    between: float = 1.0
    controls: tuple[Cell, ...] = LADDER
    splits: int = 1
    growth: float = 0.0


def study(layout: Layout, design: Design, rng: Rng) -> pd.DataFrame:
    """Cells with verdicts of one drawn study, its compressions in order.

    There is no task score: K alone says what is measurable.
    """
    return cells(list(headlines(layout, design, rng)), 0.95).query(
        "not control and kind != 'damage' and verdict.notna()"
    )


def headlines(layout: Layout, design: Design, rng: Rng) -> Iterator[Measured]:
    """Headlines of the metric and of the damage. Of controls and damages only values are known, not their errors."""
    bases = baselines(layout, design.splits, rng)
    module, checkpoints, scored = _module(layout), {}, {}
    named = {(f"method{i}", ""): cell for i, cell in enumerate(design.compressions)}
    for (method, setting), cell in {(BASELINE, ""): None, **named}.items():
        for split, base in enumerate(bases):
            entry = _entry(method, setting, split)
            drawn = base if cell is None else _drawn(layout, base, cell, design, rng)
            checkpoints[entry.key] = entry
            scored[entry.key] = Scored(entry, layout.items, [_statistic(layout, drawn)], layout.signal(drawn))
    for _, each in measured(_family(checkpoints), checkpoints, module, 0.95, lambda score: scored[score.checkpoint]):
        yield each
    for method, cell in named.items():
        yield _damage(method, cell, layout, design, rng)
    for i, cell in enumerate(design.controls):
        yield _control((UNDIRECTED[0], f"seed={i}"), cell, layout, design, bases, rng)
        yield _damage((UNDIRECTED[0], f"seed={i}"), cell, layout, design, rng)


def _drawn(layout: Layout, base: Drawn, cell: Cell, design: Design, rng: Rng) -> Drawn:
    return compressed(layout, base, cell, design.law, rng, design.between, design.growth)


def _control(
    named: tuple[str, str], cell: Cell, layout: Layout, design: Design, bases: Sequence[Drawn], rng: Rng
) -> Measured:
    split_parts = []
    for base in bases:
        drawn = _drawn(layout, base, cell, design, rng)
        split_parts.append(residual_parts(layout, base, drawn))
    by_name = dict(zip(PARTS, (_known(each) for each in np.array(split_parts).T), strict=True))
    return _plain(named, layout, _module(layout), design, by_name["checkpoint"], Parts(by_name))


def residual_parts(layout: Layout, base: Drawn, drawn: Drawn) -> Values:
    """The parts of a change ``[8]``, without errors."""
    before, after = layout.signal(base), layout.signal(drawn)
    slope = kept(before.contrasts[0], after.contrasts[0])
    carries = ~np.isnan(before.values)
    estimate = parts(before.functional, before.values, after.values, slope, null=before.null, mask=carries)
    return np.asarray(estimate(np.ones((1, len(carries))))[:, 0])


def _damage(named: tuple[str, str], cell: Cell, layout: Layout, design: Design, rng: Rng) -> Measured:
    hurt = [float(damaged(cell, rng).mean()) for _ in range(design.splits)]
    return _plain(named, layout, _DAMAGE, design, _known(hurt), None)


def _plain(
    named: tuple[str, str], layout: Layout, module: SimpleNamespace, design: Design, value: OverSplits, of: Parts | None
) -> Measured:
    identity = _entry(*named, 0).identity
    statistic = Statistic("value", 0.0, "all", len(layout.items), layout.unbiased)
    name = _METRIC if of is not None else "fidelity"
    family = Family(name, "drawn", "model", "task", name, {}, {})
    return Measured(
        family,
        module,
        identity,
        tuple(range(design.splits)),
        statistic,
        value,
        _known(value_of(value)),
        of,
        margin=layout.margin,
    )


def _known(values: Sequence[float]) -> OverSplits:
    splits = tuple(Inference(float(each), math.nan, math.nan) for each in values)
    return OverSplits(splits, Inference(float(np.mean(values)), math.nan, math.nan), UNKNOWN)


def value_of(found: OverSplits) -> list[float]:
    return [each.value for each in found.splits]


def _entry(method: str, setting: str, split: int) -> CheckpointEntry:
    key = f"{method} {setting} {split}"
    family = CONTROLS if method in UNDIRECTED else "baseline" if method == BASELINE else "compression"
    who = Identity("model", "encoder", "task", split, split, method, family, setting, None)
    return CheckpointEntry(key, key, "", "", f"{BASELINE}  {split}", who)


def _family(checkpoints: Mapping[str, CheckpointEntry]) -> Family:
    name = _METRIC
    scores: dict[int, dict[str, ScoreEntry]] = {}
    for key, each in checkpoints.items():
        entry = ScoreEntry(key, "", "", key, name, name, {}, "drawn")
        scores.setdefault(each.identity.split, {})[key] = entry
    return Family(name, "drawn", "model", "task", name, scores, {split: f"{BASELINE}  {split}" for split in scores})


def _module(layout: Layout) -> SimpleNamespace:
    return SimpleNamespace(
        KIND="intrinsic", HEADLINE=("value", "all"), CLUSTERS=layout.columns, MARGIN=layout.margin, OWN_SKILL=None
    )


def _statistic(layout: Layout, drawn: Drawn) -> Statistic:
    n, smooth = int(layout.people.sum()), isinstance(layout.functional, Linear)
    estimate = as_estimate(layout.functional, np.nan_to_num(drawn.signals))
    return Statistic("value", estimate, "all", n, layout.unbiased, share_of=layout.share_of, smooth=smooth)
