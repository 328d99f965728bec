"""What a metric says about its items so that a change of bias can be told from a loss of signal.

`fairshrink.stats.reflection` computes with these: a *signal* per item that is linear in what the model says, the
functional of it that is the metric's headline, and a *contrast* that bias does not touch, whose slope on the
baseline's is the signal kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairshrink.stats.estimates import Sums, Values
from fairshrink.stats.reflection import Functional, Null, line, line_within


@dataclass(frozen=True)
class Contrast:
    """A bias-neutral contrast of one checkpoint: the slope of its values on the baseline's is the signal kept, K.

    ``values`` ``[n]``: one for each row of the table of items, NaN in rows that have none. With ``fits_intercept`` the
    line need not go through 0, as the values have no natural zero; with ``applies_intercept`` its level belongs to
    the signal too, and enters the null. ``sets`` ``[n]``: the slope is that inside sets, each with its own level.
    """

    name: str
    values: Values
    fits_intercept: bool = False
    applies_intercept: bool = False
    sets: Sequence[str] | None = None


@dataclass(frozen=True)
class Signal:
    """One headline of one checkpoint as a functional of signals.

    ``values`` ``[n]``: a signal for each row of the table of items, NaN in rows that carry none. The first of
    ``contrasts`` gives K; others only have to agree with its residual's sign.
    """

    values: Values
    functional: Functional
    contrasts: tuple[Contrast, ...]
    null: Null = "reflection"

    @property
    def own_contrast(self) -> bool:
        """Whether the signal kept is read off the signal itself, for want of a contrast that bias does not touch.

        A line through the signals then follows whatever a compression does to all of them: residuals are blind to it.
        """
        return bool(np.array_equal(self.values, self.contrasts[0].values, equal_nan=True))


@dataclass(frozen=True)
class Margin:
    """The smallest change of a headline that matters: the largest of its parts.

    ``absolute`` in units of the headline, ``of_baseline`` as a share of the baseline's size, ``of_labels`` in standard
    deviations of the task's labels (nothing where these are no numbers).
    """

    absolute: float = 0.0
    of_baseline: float = 0.0
    of_labels: float = 0.0

    def value(self, baseline: float, label_sd: float = 0.0) -> float:
        """The margin in units of the headline."""
        sd = label_sd if label_sd == label_sd else 0.0
        return max(self.absolute, self.of_baseline * abs(baseline), self.of_labels * sd)


@dataclass(frozen=True)
class OwnSkill:
    """A statistic of the metric itself that says whether the model can do what the metric presupposes.

    Below half of the baseline's distance from ``reference`` the headline is not measurable.
    """

    statistic: str
    group: str
    reference: float


def kept(baseline: Contrast, checkpoint: Contrast) -> Sums:
    """Slope and intercept ``[2, B]`` of a checkpoint's contrast on its baseline's; NaN where one of its values is."""
    known = ~np.isnan(baseline.values)
    if baseline.sets is not None:
        return line_within(baseline.values, checkpoint.values, baseline.sets, known)
    found = line(baseline.values, checkpoint.values, known, intercept=baseline.fits_intercept)
    if baseline.applies_intercept or not baseline.fits_intercept:
        return found

    def slope_only(sums: Values) -> Values:
        slope = found.of(sums)[0]
        return np.stack([slope, np.where(np.isnan(slope), np.nan, 0.0)])

    return Sums(found.features, slope_only)
