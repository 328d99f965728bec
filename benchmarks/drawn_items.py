"""Items of drawn checkpoints, a layout for each kind of metric: what a mere loss of signal makes of them.

A checkpoint that keeps the signal K has signals ``K_i s_b + noise``, K_i varying by item around K, and the same in its
neutral contrast. Its *amplitude* is ``A = sqrt(2 (1 - K))``, as the noise has standard deviation ``sqrt(1 - K**2)``:
both are of first order in the disturbance. Undirected damage also moves the signals of bias as a whole, each checkpoint
by a random amount ``between * A * z``: the variance between seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import special

from fairshrink.stats import reflection
from fairshrink.stats.estimates import Values
from fairshrink.stats.reflection import Functional, Null
from fairshrink.stats.signals import Contrast, Margin, Signal

Rng = np.random.Generator
LAWS = ("symmetric", "skewed", "members swapped")
"""Of the noise. Swapped: whatever a compression does to a pair, with its members exchanged at random."""


@dataclass(frozen=True)
class Layout:
    """The items of one kind of metric.

    ``people``, ``neutral`` ``[n]``: rows that carry the signal, and the contrast. ``moved``: from the baseline's
    signals, how far a shift of 1 moves each. ``between``: standard deviation over seeds of that shift, per
    amplitude. ``skewed_signal``: the noise of the signal itself is skewed, not that of two members alike. ``prior``:
    a level common to signal and contrast moves too, by this times the amplitude.
    """

    name: str
    items: pd.DataFrame
    columns: tuple[str, ...]
    people: Values
    neutral: Values
    center: Values
    functional: Functional
    margin: Margin
    between: float
    unbiased: float = 0.0
    moved: Callable[[Values], Values] = np.ones_like
    share_of: float | None = None
    fits_intercept: bool = False
    applies_intercept: bool = False
    own_contrast: bool = False
    null: Null = "reflection"
    skewed_signal: bool = False
    prior: float = 0.0
    shared_noise: float = 0.15

    def signal(self, drawn: Drawn) -> Signal:
        """What the metric would say of a drawn checkpoint."""
        values = drawn.signals if self.own_contrast else drawn.contrast
        contrast = Contrast("contrast", values, self.fits_intercept, self.applies_intercept)
        return Signal(drawn.signals, self.functional, (contrast,), self.null)

    def value(self, signals: Values) -> float:
        """The headline."""
        return float(self.functional(np.nan_to_num(signals)[None, :], np.ones((1, len(signals))))[0])


@dataclass(frozen=True)
class Drawn:
    """Signals and contrast of one checkpoint, ``[n]`` each; NaN in rows without."""

    signals: Values
    contrast: Values


@dataclass(frozen=True)
class Cell:
    """A checkpoint: the signal that it keeps, and a change beyond that, in margins of the metric's headline."""

    kept: float
    planted: float = 0.0

    @property
    def amplitude(self) -> float:
        """The root of its divergence."""
        return math.sqrt(2 * (1 - self.kept))


def baselines(layout: Layout, splits: int, rng: Rng) -> list[Drawn]:
    """One for each split; nine tenths of the variance of a signal are common to all."""
    n = len(layout.items)
    common = [math.sqrt(0.9) * _spread(layout, n, rng, 0.3) for _ in range(2)]
    made = []
    for _ in range(splits):
        signals, contrast = (each + math.sqrt(0.1) * rng.normal(size=n) for each in common)
        made.append(_masked(layout, layout.center + signals, 1.5 * contrast))
    return made


def compressed(
    layout: Layout, base: Drawn, cell: Cell, law: str, rng: Rng, between: float = 1.0, growth: float = 0.0
) -> Drawn:
    """A checkpoint made from a baseline.

    ``between``: standard deviation between seeds, in units of the layout's own; ``growth``: it goes with this power of
    the amplitude beside the amplitude itself.
    """
    n, k, size = len(layout.items), cell.kept, cell.amplitude
    noise = math.sqrt(1 - k**2)
    own = np.clip(k * (1 + 0.4 * rng.normal(size=(2, n))), -0.2 * k, 2.2 * k)
    level = layout.prior * size * rng.normal()
    s_b, c_b = (np.nan_to_num(each) for each in (base.signals, base.contrast))
    signals = level + own[0] * s_b + noise * _noise(layout, law, rng)
    contrast = level + own[1] * c_b + noise * _noise(layout, law, rng)
    moved = layout.moved(s_b)
    signals = signals + between * layout.between * size ** (1 + growth) * rng.normal() * moved
    if cell.planted:
        margin = layout.margin.value(layout.value(base.signals))
        signals = signals + _planted(layout, signals, moved, cell.planted * margin) * moved
    return _masked(layout, signals, contrast)


def damaged(cell: Cell, rng: Rng, n: int = 60) -> Values:
    """Divergences of single items, whose mean is the square of the amplitude in expectation."""
    return cell.amplitude**2 * rng.chisquare(8, size=n) / 8


def _masked(layout: Layout, signals: Values, contrast: Values) -> Drawn:
    return Drawn(np.where(layout.people, signals, np.nan), np.where(layout.neutral, contrast, np.nan))


def _noise(layout: Layout, law: str, rng: Rng) -> Values:
    """Variance 1."""
    n = len(layout.items)
    if law == "symmetric":
        return _spread(layout, n, rng, layout.shared_noise)
    if law == "members swapped":
        biased = (_exponential(rng, n) + 0.7) / math.sqrt(1.49)
        return np.where(rng.random(n) < 0.5, -1, 1) * biased
    own = _exponential(rng, n) if layout.skewed_signal else (_exponential(rng, n) - _exponential(rng, n)) / math.sqrt(2)
    share = layout.shared_noise
    return math.sqrt(share) * _by_cluster(layout, rng) + math.sqrt(1 - share) * own


def _exponential(rng: Rng, n: int) -> Values:
    """Mean 0, variance 1, skewness 2."""
    return np.asarray(rng.exponential(size=n) - 1)


def _spread(layout: Layout, n: int, rng: Rng, share: float) -> Values:
    return math.sqrt(share) * _by_cluster(layout, rng) + math.sqrt(1 - share) * rng.normal(size=n)


def _by_cluster(layout: Layout, rng: Rng) -> Values:
    """Variance 1, common to the rows of a cluster; with two columns most of it belongs to the second."""
    codes = [_codes(layout.name, column) for column in layout.columns]
    values = [rng.normal(size=int(each.max()) + 1)[each] for each in codes]
    return values[0] if len(values) == 1 else math.sqrt(0.2) * values[0] + math.sqrt(0.8) * values[1]


@cache
def _codes(name: str, column: str) -> np.ndarray:
    return np.unique(KINDS[name].items[column].to_numpy(dtype=str), return_inverse=True)[1]


def _planted(layout: Layout, signals: Values, moved: Values, change: float) -> float:
    """The shift that moves the headline by ``change``, by bisection."""
    goal, low, high = layout.value(signals) + change, -8.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if layout.value(signals + middle * moved) < goal else (low, middle)
    return (low + high) / 2


def _table(n: int, **columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"item": [f"i{i:04d}" for i in range(n)], **columns})


def _gap() -> Layout:
    """Like the sentiment gap: 12 templates × 40 pairs of persons."""
    n = 480
    items = _table(n, cluster=[f"t{i % 12}" for i in range(n)], pair=[f"p{i // 12}" for i in range(n)])
    everything = np.ones(n)
    functional = reflection.mean(everything)
    return Layout(
        "mean of differences",
        items,
        ("cluster", "pair"),
        everything,
        everything,
        0.4 * everything,
        functional,
        Margin(0.15),
        between=0.29,
        fits_intercept=True,
    )


def _stereotypes() -> Layout:
    """Like StereoSet: 3 sentences for each of 150 terms; K from related against unrelated words."""
    n = 450
    items = _table(n, cluster=[f"t{i // 3}" for i in range(n)])
    everything = np.ones(n)
    share = reflection.share_above(everything, items["cluster"].to_numpy(), unit=100.0)
    return Layout(
        "share, neutral contrast",
        items,
        ("cluster",),
        everything,
        everything,
        0.4 * everything,
        share,
        Margin(5.0),
        between=0.2,
        unbiased=50.0,
        share_of=100.0,
    )


def _pairs() -> Layout:
    """Like CrowS-Pairs: 500 pairs; K from the preference itself, with intercept."""
    n = 500
    items = _table(n, cluster=[f"p{i // 2}" for i in range(n)])
    everything = np.ones(n)
    share = reflection.share_above(everything, unit=100.0)
    return Layout(
        "share, own contrast",
        items,
        ("cluster",),
        everything,
        everything,
        0.3 * everything,
        share,
        Margin(5.0),
        between=0.5,
        unbiased=50.0,
        share_of=100.0,
        fits_intercept=True,
        applies_intercept=True,
        own_contrast=True,
        # A shift of all is the line's intercept; what is left to see moves the undecided.
        moved=lambda s: np.exp(-2 * s**2),
    )


def _neutral() -> Layout:
    """Like Bias-NLI: 24 occupations × 12 words, and 150 pairs of the task, whose intercept counts as lost signal."""
    people, n = 288, 438
    items = _table(
        n,
        cluster=[f"o{i % 24}" if i < people else f"h{i}" for i in range(n)],
        word=[f"w{i // 24}" if i < people else f"h{i}" for i in range(n)],
    )
    inside = np.arange(n) < people

    rows = np.arange(people)

    def mean_probability(signals: Values, weights: Values) -> Values:
        values, counted = special.expit(signals[:, rows] - math.log(2)), weights[:, rows]
        return np.asarray((counted * values).sum(axis=1) / counted.sum(axis=1))

    return Layout(
        "mean probability",
        items,
        ("cluster", "word"),
        inside.astype(float),
        (~inside).astype(float),
        np.full(n, 1.5),
        mean_probability,
        Margin(0.04),
        between=0.2,
        unbiased=1.0,
        fits_intercept=True,
        applies_intercept=True,
        null="shuffled",
        skewed_signal=True,
        prior=0.3,
    )


SETS = (8, 8, 10, 25, 25, 16, 8, 8, 12, 8, 20, 8, 16)
"""Words in each of the two sets of a test."""


def _associations() -> Layout:
    """Like WEAT: 13 tests, words as clusters, and two neutral tests of 25 words a set."""
    sizes = (*SETS, 25, 25)
    test = np.repeat(np.arange(len(sizes)), [2 * each for each in sizes])
    first = np.concatenate([np.arange(2 * each) < each for each in sizes])
    n, people = len(test), test < len(SETS)
    items = _table(n, cluster=[f"w{i}" for i in range(n)])
    rows = [np.flatnonzero(test == t) for t in range(len(SETS))]
    sizes_of = [reflection.effect_size(first[each], ~first[each]) for each in rows]

    def mean_effect(signals: Values, weights: Values) -> Values:
        pairs = zip(sizes_of, rows, strict=True)
        return np.asarray(np.mean([size(signals[:, each], weights[:, each]) for size, each in pairs], axis=0))

    side = np.where(first, 0.5, -0.5)
    return Layout(
        "mean effect size",
        items,
        ("cluster",),
        people.astype(float),
        (~people).astype(float),
        0.8 * side,
        mean_effect,
        Margin(0.2),
        between=0.35,
        fits_intercept=True,
        moved=lambda s: side,
        shared_noise=0.0,
    )


KINDS = {each.name: each for each in (_gap(), _stereotypes(), _pairs(), _neutral(), _associations())}
