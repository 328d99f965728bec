import math

import numpy as np
import pandas as pd
import pytest

from fairshrink.reporting import digits


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.10623, 0.09911, 0.11334, "0.1062 [0.0991, 0.1133]"),
        (56.13, 54.38, 57.88, "56.1 [54.4, 57.9]"),
        (0.5, 0.4004, 0.5996, "0.50 [0.40, 0.60]"),  # half width 0.0996 is 0.10 with two digits
        (-0.0004, -0.2, 0.2, "0.00 [−0.20, 0.20]"),
        (12345.6, 11111.0, 13579.0, "12300 [11100, 13600]"),
        (0.5, math.nan, 0.6, "0.500"),
        (61.0, math.nan, math.nan, "61.0"),
        (math.nan, 0.1, 0.2, "–"),
        (0.0, 0.0, 0.0, "0 [0, 0]"),
        (0.123456789, 0.123456788, 0.123456790, "0.123457 [0.123457, 0.123457]"),
    ],
)
def test_digits_follow_the_interval_by_hand(value, low, high, text):
    assert digits.with_interval(value, low, high) == text


@pytest.mark.parametrize(
    ("share", "places", "text"),
    [(0.925, 0, "92%"), (-0.53, 0, "−53%"), (-0.004, 0, "0%"), (0.1234, 1, "12.3%"), (None, 0, "–"), (np.nan, 1, "–")],
)
def test_shares_in_percent_have_a_real_minus_sign(share, places, text):
    assert digits.percent(share, places) == text


def test_half_the_width_has_two_significant_digits_and_the_value_stays_inside():
    draw = np.random.default_rng(0)
    for _ in range(2000):
        value, half = draw.normal() * 10 ** draw.uniform(-1, 3), 10 ** draw.uniform(-3, 1)
        low, high = value - half * draw.uniform(0.1, 1), value + half
        places = digits.decimals(value, low, high)
        width = (high - low) / 2
        capped = places < 1 - math.floor(math.log10(width))
        unit = 10.0**-places
        assert 9.5 <= width / unit < 99.5 or (capped and width / unit < 99.5)
        shown = [float(digits.number(each, places).replace("−", "-")) for each in (low, value, high)]
        assert shown == sorted(shown)
        assert abs(shown[1] - value) <= unit / 2 * (1 + 1e-9)


def test_an_interval_must_contain_its_own_point():
    frame = pd.DataFrame({"low": [0.1, 0.3, np.nan], "value": [0.2, 0.2, 0.2], "high": [0.3, 0.4, 0.1]})
    assert list(digits.within(frame["low"], frame["value"], frame["high"])) == [True, False, False]
    assert digits.within(frame["low"], frame["value"], frame["low"] * np.nan)[0]
