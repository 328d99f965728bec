"""The parts of a change of bias: what lost signal explains, and what it does not, for one cell of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fairshrink.analysis.joint import Joint, measure
from fairshrink.stats.estimates import Estimate, difference
from fairshrink.stats.reflection import Linear, parts
from fairshrink.stats.signals import Signal, kept
from fairshrink.stats.splits import OverSplits

PARTS = ("baseline", "checkpoint", "kept", "intercept", "null", "explained", "residual", "change")


@dataclass(frozen=True)
class Parts:
    """The parts by name, each over splits; ``others`` are the residuals by the further contrasts.

    ``own_contrast``: the first contrast is the signal itself (`Signal.own_contrast`).
    """

    by_name: dict[str, OverSplits]
    others: tuple[float, ...] = field(default=())
    own_contrast: bool = False

    def __getitem__(self, name: str) -> OverSplits:
        return self.by_name[name]

    @property
    def beside_controls(self) -> OverSplits:
        """What is compared with undirected damage: the residual; the change itself where the contrast is the signal."""
        return self["change" if self.own_contrast else "residual"]


def decompose(joint: Joint, before: Sequence[Signal], after: Sequence[Signal]) -> Parts:
    """Parts from the signals of baselines and checkpoints, one pair for each split.

    By one jackknife in which K is estimated anew each time.
    """
    main = _by_contrast(joint, before, after, 0)
    further = range(1, len(before[0].contrasts))
    others = [_by_contrast(joint, before, after, each, point_only=True)["residual"] for each in further]
    own = all(each.own_contrast for each in before)
    return Parts(main, tuple(each.checkpoints.value for each in others), own)


def change(joint: Joint, before: Sequence[Estimate], after: Sequence[Estimate], *, smooth: bool) -> OverSplits:
    """The paired difference of a statistic from the baselines' to the checkpoints'."""
    pairs = [difference(one, other) for one, other in zip(after, before, strict=True)]
    (found,) = measure(joint, pairs, smooth=smooth)
    return found


def _by_contrast(
    joint: Joint, before: Sequence[Signal], after: Sequence[Signal], which: int, *, point_only: bool = False
) -> dict[str, OverSplits]:
    estimates, carrying, reading = [], np.zeros(joint.n, dtype=bool), np.zeros(joint.n, dtype=bool)
    for one, other, rows in zip(before, after, joint.rows, strict=True):
        carries = _known(one.values)
        reads = _known(one.contrasts[which].values)
        carrying[rows] |= carries
        reading[rows] |= reads
        estimates.append(_estimate(one, other, which, carries))
    read = carrying | reading
    # Contrasts on rows of their own are a sample of their own.
    apart = not (carrying & reading).any()
    strata = (~carrying).astype(np.intp) if apart else None
    smooth = isinstance(before[0].functional, Linear)
    if point_only:
        joint = Joint(joint.n, joint.rows, (np.zeros(joint.n, dtype=np.intp),))
        strata = None
    found = measure(joint, estimates, smooth=smooth, strata=strata, read=read)
    return dict(zip(PARTS, found, strict=True))


def _estimate(before: Signal, after: Signal, which: int, carries: NDArray[np.bool_]) -> Estimate:
    slope = kept(before.contrasts[which], after.contrasts[which])
    return parts(before.functional, before.values, after.values, slope, null=before.null, mask=carries)


def _known(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return ~np.isnan(np.asarray(values, dtype=np.float64))
