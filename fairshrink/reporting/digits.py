"""Numbers for readers: as many digits as the interval supports."""

from __future__ import annotations

import math

import pandas as pd

MISSING = "–"
_WITHOUT_INTERVAL, _MOST = 3, 6
"""Significant digits of a value without an interval, and of any value at most."""


def decimals(value: float, low: float = math.nan, high: float = math.nan) -> int:
    """Decimal places that show two significant digits of half the interval's width; negative: to tens, hundreds, …

    Three significant digits of the value where there is no interval; never more than six of it.
    """
    half, size = (high - low) / 2, abs(value)
    size = max(size, half) if math.isfinite(half) else size
    finest = _MOST - 1 - _exponent(size, _MOST)
    if math.isfinite(half) and half > 0:
        return min(1 - _exponent(half, 2), finest)
    return max(0, _WITHOUT_INTERVAL - 1 - _exponent(size, _WITHOUT_INTERVAL))


def number(value: float | None, places: int) -> str:
    """``value`` with ``places`` decimals and a real minus sign; a dash for a missing one; never "−0.0"."""
    if value is None or pd.isna(value):
        return MISSING
    text = f"{round(value, places):.{max(places, 0)}f}"
    return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "−")


def percent(share: float | None, places: int = 0) -> str:
    """A share in percent, like `number`."""
    text = number(None if share is None or pd.isna(share) else 100 * share, places)
    return text if text == MISSING else f"{text}%"


def plain(value: float | None) -> str:
    """A number without an interval: three significant digits."""
    return MISSING if value is None or pd.isna(value) else number(value, decimals(value))


def with_interval(value: float, low: float, high: float) -> str:
    """``value [low, high]``, all with the decimals that the interval supports; the value alone if it has none."""
    if pd.isna(value) or pd.isna(low) or pd.isna(high):
        return plain(value)
    places = decimals(value, low, high)
    return f"{number(value, places)} [{number(low, places)}, {number(high, places)}]"


def within(low: pd.Series, value: pd.Series, high: pd.Series) -> pd.Series:
    """Whether each interval contains its own value, to rounding; true where one of the three is missing."""
    slack = 1e-9 * value.abs().clip(lower=1e-3)
    outside = (low > value + slack) | (high < value - slack)
    return ~outside.fillna(False).astype(bool)


def _exponent(size: float, digits: int) -> int:
    """The power of ten of the first digit of ``size``, rounded to ``digits`` significant digits."""
    if not math.isfinite(size) or size == 0:
        return digits - 1
    return int(f"{size:.{digits - 1}e}".split("e")[1])
