"""The ladder of controls: what undirected damage of a size does to a residual."""

import math

import numpy as np
import pytest
from scipy import stats

from fairshrink.analysis import damage, residuals
from fairshrink.stats.power import detectable


def drawn(n: int, seed: int, slope: float = 0.0, levels: int = 4) -> damage.Ladder:
    draw = np.random.default_rng(seed)
    amplitudes = np.geomspace(0.1, 0.4, levels)[np.arange(n) % levels]
    residuals = amplitudes * (0.5 + slope * np.log(amplitudes) + 0.2 * draw.normal(size=n))
    return damage.ladder([(a, r, f"c{i}") for i, (a, r) in enumerate(zip(amplitudes, residuals, strict=True))])


def test_where_the_spread_is_in_proportion_the_prediction_is_that_of_ordinary_least_squares(monkeypatch):
    monkeypatch.setattr(damage, "POWERS", np.zeros(1))
    controls, size, splits = drawn(14, seed=1, slope=0.3), 0.2, 2
    x, y = np.log(controls.amplitudes), controls.residuals / controls.amplitudes
    fit = stats.linregress(x, y)
    at = fit.intercept + fit.slope * math.log(size)
    # One degree of freedom for the power of the spread; the spread at the cell is read off a line.
    s = math.sqrt(np.sum((y - fit.intercept - fit.slope * x) ** 2) / 11)
    df = 1 / (1 / 11 + (math.log(size) - x.mean()) ** 2 / (11 * x.var()))
    error = s * math.sqrt(1 / splits + 1 / 14 + (math.log(size) - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    found, n = damage.expected(controls, size, splits)
    assert n == 14
    assert (found.value, found.standard_error, found.df) == pytest.approx((size * at, size * error, df))


def test_one_level_has_no_slope():
    controls = drawn(12, seed=2, levels=1)
    found, _ = damage.expected(controls, 0.1)
    y = controls.residuals
    assert found.df == 11
    assert found.value == pytest.approx(y.mean())
    assert found.standard_error == pytest.approx(y.std(ddof=1) * math.sqrt(1 + 1 / 12))


@pytest.mark.parametrize("size", [0.1 / 1.3, 0.4 * 1.3, 0.0, math.nan])
def test_outside_the_ladder_nothing_is_known(size):
    found, _ = damage.expected(drawn(16, seed=3), size)
    assert math.isnan(found.standard_error) and math.isnan(damage.against(0.3, found).p_value())


def test_too_few_controls_say_nothing():
    assert math.isnan(damage.expected(drawn(damage.LEAST - 1, seed=4), 0.2)[0].standard_error)
    assert not math.isnan(damage.expected(drawn(damage.LEAST, seed=4), 0.2)[0].standard_error)


def test_one_more_control_is_called_different_in_five_percent_of_cases():
    draw, called, trials = np.random.default_rng(5), 0, 2000
    for trial in range(trials):
        size = float(draw.choice([0.1, 0.2, 0.3, 0.4]))
        value = size * (0.5 + 0.2 * draw.normal())
        found, _ = damage.expected(drawn(12, seed=10_000 + trial), size)
        called += damage.against(value, found).p_value() <= 0.05
    assert stats.binomtest(called, trials, 0.05).pvalue > 1e-3


def test_a_control_is_judged_without_itself():
    controls = drawn(12, seed=6)
    fewer = controls.without("c3")
    assert list(fewer.owners) == [f"c{i}" for i in range(12) if i != 3]
    assert np.array_equal(fewer.residuals, np.delete(controls.residuals, 3))


def test_undefined_controls_are_left_out():
    found = damage.ladder([(0.1, 0.2, "a"), (math.nan, 0.2, "b"), (0.1, math.nan, "c"), (0.0, 0.2, "d")])
    assert list(found.owners) == ["a"]
    assert len(damage.ladder([]).owners) == 0


def test_amplitude_is_of_first_order():
    assert damage.amplitude(0.09, linear=False) == pytest.approx(0.3)
    assert damage.amplitude(0.09, linear=True) == 0.09
    assert math.isnan(damage.amplitude(math.nan, linear=True))


@pytest.mark.parametrize("size", [0.2, 0.4])
def test_as_many_controls_as_are_needed_detect_the_margin_and_fewer_do_not(monkeypatch, size):
    """Each control drawn again and again at its damage, with the spread that these have."""
    monkeypatch.setattr(damage, "POWERS", np.zeros(1))
    few, splits = drawn(12, seed=6), 3
    found, n = damage.expected(few, size, splits)
    margin = 1.02 * detectable(found.spread(splits) / math.sqrt(splits), 1e6)
    needed = residuals._controls_needed(found, n, splits, margin)
    assert 3 * n < needed < math.inf

    def reached(times: int) -> float:
        columns = (np.tile(each, times) for each in (few.amplitudes, few.residuals, few.owners))
        more, _ = damage.expected(damage.Ladder(*columns), size, splits)
        return detectable(found.spread(splits) * math.sqrt(1 / splits + more.leverage), more.df)

    times = needed / n
    assert reached(math.ceil(times)) <= margin < reached(math.ceil(times) - 1)
