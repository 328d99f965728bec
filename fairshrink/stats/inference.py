"""What a value with a standard error says: intervals, tests and equivalence by Student's t.

Everything in this folder that has a standard error ends as an `Inference`, so that an interval, a test against any
value and a test of equivalence always come from the same three numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Inference:
    """A value with its standard error, referred to Student's t with ``df`` degrees of freedom (``inf``: normal).

    Where the error cannot be estimated ``standard_error`` is NaN, and with it the interval and every p-value.
    """

    value: float
    standard_error: float
    df: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval; it always contains ``value``."""
        reach = t_quantile((1 + level) / 2, self.df) * self.standard_error
        return self.value - reach, self.value + reach

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided p that the true value is ``null``; not bounded from below."""
        return 2 * self._tail(abs(self.value - null))

    def equivalence_p(self, margin: float) -> float:
        """P of two one-sided tests (Schuirmann 1987) that the true value is at least ``margin`` away from 0."""
        if margin <= 0:
            raise ValueError(f"a margin must be positive, not {margin}")
        return self._tail(margin - abs(self.value))

    def equivalent(self, margin: float, alpha: float = 0.05) -> bool:
        """Whether the interval at level ``1 - 2 * alpha`` (90%) lies inside the margin; False without an error."""
        low, high = self.interval(1 - 2 * alpha)
        if margin <= 0:
            raise ValueError(f"a margin must be positive, not {margin}")
        return -margin < low and high < margin

    def _tail(self, distance: float) -> float:
        """Chance that an estimate exceeds its true value by ``distance`` or more."""
        # Inside functions: metrics say their margins with these classes, and planning imports metrics.
        from scipy import special

        if self.standard_error == 0 and not math.isnan(distance):
            # No error: the value itself is the answer, and a distance of 0 is no evidence at all.
            return 0.0 if distance > 0 else 0.5 if distance == 0 else 1.0
        return float(special.stdtr(self.df, -distance / self.standard_error)) if self.standard_error else math.nan


UNKNOWN = Inference(math.nan, math.nan, math.nan)
"""Nothing can be said."""


def combined_df(first: float, first_df: float, second: float, second_df: float) -> float:
    """Degrees of freedom of a sum of two variances, so that its 95% quantile is Cochran and Cox's (1950).

    That quantile is the mean of the two variances' own, weighted by them. Satterthwaite's degrees of freedom, which
    take estimated variances for true ones, are too many where the larger variance has 2 or 3 (docs/statistics.md).
    """
    from scipy import special

    if first + second <= 0 or first_df == second_df:
        return min(first_df, second_df)
    quantile = (first * t_quantile(0.975, first_df) + second * t_quantile(0.975, second_df)) / (first + second)
    return float(special.stdtridf(0.975, quantile))


def t_quantile(p: float, df: float) -> float:
    """Quantile of Student's t; NaN without degrees of freedom."""
    from scipy import special

    return float(special.stdtrit(df, p)) if df > 0 else math.nan
