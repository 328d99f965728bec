"""Studies of drawn checkpoints, given to the same analysis that a real study's scores are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from benchmarks.drawn_items import Cell, Drawn, Layout, Rng, baselines, compressed, damaged
from fairshrink.analysis import cells, results_file
from fairshrink.analysis.joint import join
from fairshrink.analysis.known import gather
from fairshrink.analysis.measured import Measured
from fairshrink.analysis.parts import PARTS, Parts, change, decompose
from fairshrink.analysis.scores import Family
from fairshrink.analysis.verdicts import judged
from fairshrink.contracts import BASELINE, CONTROLS, UNDIRECTED
from fairshrink.stats.estimates import Estimate, Statistic, Values
from fairshrink.stats.inference import UNKNOWN, Inference
from fairshrink.stats.reflection import Linear, as_estimate, parts
from fairshrink.stats.signals import kept
from fairshrink.stats.splits import OverSplits
from fairshrink.study.jobs import Identity

LADDER = tuple(Cell(1 - amplitude**2 / 2) for amplitude in (0.1, 0.25, 0.6, 1.35) for _ in range(4))
"""Sixteen controls, four of each damage."""
METRIC = "metric"


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
    found = list(headlines(layout, design, rng))
    known = gather(found, 0.95, {}, {}, {})
    compressions = [each for each in found if each.family.entry == METRIC and each.identity.method_family != CONTROLS]
    return judged(results_file.frame([cells._row(each, known) for each in compressions], results_file.CELLS))


def headlines(layout: Layout, design: Design, rng: Rng) -> Iterator[Measured]:
    """Headlines of compressions and controls, each with its damage.

    What no verdict rests on is left out for speed: the errors of controls and damages, intervals of values.
    `tests/analysis/test_verdict_simulation.py` compares with the long way.
    """
    bases = baselines(layout, design.splits, rng)
    before = [layout.signal(base) for base in bases]
    joint = join([layout.items] * design.splits, layout.columns)
    for named, cell in named_cells(design).items():
        drawn = [draw(layout, base, cell, design, rng) for base in bases]
        if named[0] in UNDIRECTED:
            each = [residual_parts(layout, base, one) for base, one in zip(bases, drawn, strict=True)]
            by_name = zip(PARTS, (without_error(values) for values in np.array(each).T), strict=True)
            parts_of = Parts(dict(by_name), own_contrast=layout.own_contrast)
            moved = parts_of["change"]
        else:
            parts_of = decompose(joint, before, [layout.signal(one) for one in drawn])
            pairs = [[_estimate(layout, one) for one in side] for side in (bases, drawn)]
            moved = change(joint, *pairs, smooth=isinstance(layout.functional, Linear))
        yield _headline(named, layout, design, METRIC, parts_of["checkpoint"], moved, parts_of)
        hurt = without_error([float(damaged(cell, rng).mean()) for _ in bases])
        yield _headline(named, layout, design, "fidelity", hurt, hurt, None)


def named_cells(design: Design) -> dict[tuple[str, str], Cell]:
    """Checkpoints by method and setting, the compressions first."""
    made = {(f"method{i}", ""): cell for i, cell in enumerate(design.compressions)}
    return made | {(UNDIRECTED[0], f"seed={i}"): cell for i, cell in enumerate(design.controls)}


def draw(layout: Layout, base: Drawn, cell: Cell, design: Design, rng: Rng) -> Drawn:
    """A checkpoint by the law of a design."""
    return compressed(layout, base, cell, design.law, rng, design.between, design.growth)


def residual_parts(layout: Layout, base: Drawn, drawn: Drawn) -> Values:
    """The parts of a change ``[8]``, without errors."""
    before, after = layout.signal(base), layout.signal(drawn)
    slope = kept(before.contrasts[0], after.contrasts[0])
    carries = ~np.isnan(before.values)
    estimate = parts(before.functional, before.values, after.values, slope, null=before.null, mask=carries)
    return np.asarray(estimate(np.ones((1, len(carries))))[:, 0])


def without_error(values: Sequence[float]) -> OverSplits:
    """Values of splits and their mean."""
    splits = tuple(Inference(float(each), math.nan, math.nan) for each in values)
    return OverSplits(splits, Inference(float(np.mean(values)), math.nan, math.nan), UNKNOWN)


def statistic(layout: Layout, drawn: Drawn) -> Statistic:
    """The headline of a drawn checkpoint."""
    n, smooth = int(layout.people.sum()), isinstance(layout.functional, Linear)
    estimate = _estimate(layout, drawn)
    return Statistic("value", estimate, "all", n, layout.unbiased, share_of=layout.share_of, smooth=smooth)


def module(layout: Layout, kind: str = "intrinsic") -> SimpleNamespace:
    """A metric as the analysis sees it."""
    return SimpleNamespace(
        KIND=kind, HEADLINE=("value", "all"), CLUSTERS=layout.columns, MARGIN=layout.margin, OWN_SKILL=None
    )


def identity(method: str, setting: str, split: int = 0) -> Identity:
    """Who a drawn checkpoint is."""
    family = CONTROLS if method in UNDIRECTED else "baseline" if method == BASELINE else "compression"
    return Identity("model", "encoder", "task", split, split, method, family, setting, None)


def _estimate(layout: Layout, drawn: Drawn) -> Estimate:
    return as_estimate(layout.functional, np.nan_to_num(drawn.signals))


def _headline(
    named: tuple[str, str],
    layout: Layout,
    design: Design,
    name: str,
    value: OverSplits,
    moved: OverSplits,
    parts_of: Parts | None,
) -> Measured:
    kind = "intrinsic" if name == METRIC else "damage"
    n = int(layout.people.sum())
    return Measured(
        family=Family(name, "drawn", "model", "task", name, {}, {}),
        module=module(layout, kind),
        identity=identity(*named),
        splits=tuple(range(design.splits)),
        statistic=Statistic("value", 0.0, "all", n, layout.unbiased),
        value=value,
        change=moved,
        parts=parts_of,
        margin=layout.margin,
        interval=value.checkpoints.interval(),
    )
