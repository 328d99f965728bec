"""What undirected damage of a size does to a metric: residuals of controls over a ladder of damages.

Controls that damage a model in no direction (noise on its weights, random heads) have residuals R of their own, which
vary between seeds far more than their items say. To first order R is proportional to the size of the disturbance,
as the damage's *amplitude* is: the root of a divergence, which is of second order, or a difference of predictions as it
is. So the residuals per amplitude, ``r = R / A``, are modeled over the controls of one model, task and metric as

    r = a + b log A + error with the standard deviation s A**g,

and a cell of amplitude A, a mean over m splits, is compared with ``A (a + b log A)``, with the prediction error
``A s A**g sqrt(1/m + h)``, ``h`` the leverage of log A, and Student's t. b and g are fitted where the ladder has at
least two levels.

The power g is there because R is proportional to A to first order only: the error over items does not fall with A as
fast, so that r is known less well after little damage, and large damage may scatter more than in proportion. It is the
likeliest of `POWERS` (REML), and costs one degree of freedom. The spread at the cell is then read off a line through
the logarithms of the controls' spreads, whose leverage at log A leaves

    df = 1 / (1/(n - 3) + (log A - mean log A)**2 / ((n - 3) var log A))

degrees of freedom: about n - 3 in the middle of a ladder of n controls, a third of that at its ends. A cell outside the
ladder has no controls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairshrink.stats.estimates import Values
from fairshrink.stats.inference import Inference

LEAST = 10
"""Fewer controls than this say too little about how much they vary."""
BEYOND = 1.25
"""How far outside the ladder, as a factor of the amplitude, a cell may be."""
POWERS = np.linspace(-1.5, 1.5, 31)
"""Tried for the power of the amplitude with which the spread of residuals per amplitude goes."""
REACH = 8.0
"""Controls within this factor of a cell's amplitude are compared with it: much farther ones say little about it."""


@dataclass(frozen=True)
class Ladder:
    """Controls of one model, task and metric: ``amplitudes``, ``residuals``, and which control each is, ``[n]``."""

    amplitudes: NDArray[np.float64]
    residuals: NDArray[np.float64]
    owners: NDArray[np.str_]

    def without(self, owner: str) -> Ladder:
        """The ladder without one of its controls, which is then judged against the others."""
        others = self.owners != owner
        return Ladder(self.amplitudes[others], self.residuals[others], self.owners[others])


@dataclass(frozen=True)
class Expected(Inference):
    """What undirected damage gives: a prediction of one further checkpoint, or of a mean over several splits.

    ``leverage`` is the part of its variance that the fitted line adds, in units of the spread's square: 1 / n where a
    mean is fitted, more at a ladder's ends. ``fitted``: degrees of freedom that the fit costs.
    """

    leverage: float = math.nan
    fitted: int = 0

    def spread(self, splits: int) -> float:
        """The standard deviation between control seeds at this amplitude."""
        return self.standard_error / math.sqrt(1 / splits + self.leverage)


def ladder(points: Sequence[tuple[float, float, str]]) -> Ladder:
    """A ladder from (amplitude, residual, control); those without a residual or without damage are left out."""
    size, left = np.array([point[:2] for point in points], dtype=np.float64).reshape(-1, 2).T
    usable = np.isfinite(size) & np.isfinite(left) & (size > 0)
    return Ladder(size[usable], left[usable], np.array([owner for *_, owner in points], dtype=str)[usable])


def amplitude(damage: float, *, linear: bool) -> float:
    """The size of a disturbance from the damage that it does; NaN where that is not known."""
    if not damage >= 0:
        return math.nan
    return damage if linear else math.sqrt(damage)


def expected(controls: Ladder, size: float, splits: int = 1) -> tuple[Expected, int]:
    """The residual that undirected damage of an amplitude gives, with a prediction's error; and the number of controls.

    Without an error where there are too few controls or the amplitude lies outside the ladder.
    """
    near = np.abs(np.log(controls.amplitudes / size)) <= math.log(REACH) if size > 0 else np.zeros(0, dtype=bool)
    a, r = (controls.amplitudes[near], controls.residuals[near]) if near.any() else (np.empty(0), np.empty(0))
    n = len(a)
    if n < LEAST or not a.min() / BEYOND <= size <= a.max() * BEYOND:
        return Expected(math.nan, math.nan, math.nan), n
    x, y = np.log(a / size), r / a
    level = np.ones((n, 1))
    if np.ptp(x) <= math.log(BEYOND):
        return _predicted(level, y, np.zeros(n), size, splits, 1, n - 1.0), n
    power = _power(x, y)
    # The spread at the cell is read off a line through the controls' spreads: its leverage costs degrees of freedom.
    of_spread = (1 + x.mean() ** 2 / x.var()) / (n - 3.0)
    return _predicted(np.column_stack([level, x]), y, 2 * power * x, size, splits, 3, float(1 / of_spread)), n


def _predicted(
    columns: Values, y: Values, log_variance: Values, size: float, splits: int, fitted: int, df: float
) -> Expected:
    """By weighted least squares; variances are relative to that at the cell's amplitude."""
    weights = np.exp(-log_variance)
    at = np.eye(columns.shape[1])[0]
    inverse = np.linalg.inv(columns.T @ (weights[:, None] * columns))
    fit = inverse @ (columns.T @ (weights * y))
    square = float(np.sum(weights * (y - columns @ fit) ** 2)) / (len(y) - fitted)
    leverage = float(at @ inverse @ at)
    error = size * math.sqrt(square * (1 / splits + leverage))
    return Expected(size * float(at @ fit), error, df, leverage, fitted)


def _power(x: Values, y: Values) -> float:
    """The power of the amplitude, ``x`` its logarithm, with which the spread of ``y`` goes: the likeliest (REML)."""
    x, y = x - x.mean(), y - y.mean()
    weights = np.exp(-2 * POWERS[:, None] * x)
    n, of_x, of_y = (weights @ each for each in (np.ones_like(x), x, y))
    information = n * (weights @ x**2) - of_x**2
    slope = (n * (weights @ (x * y)) - of_x * of_y) / information
    level = (of_y - slope * of_x) / n
    squares = np.sum(weights * (y - level[:, None] - slope[:, None] * x) ** 2, axis=1)
    if not squares.min() > 0:
        return 0.0
    return float(POWERS[np.argmin((len(x) - 2) * np.log(squares) + np.log(information))])


def against(value: float, controls: Inference) -> Inference:
    """How far a cell's residual is from what undirected damage of its size gives."""
    return Inference(value - controls.value, controls.standard_error, controls.df)
