"""What undirected damage of a size does: prediction intervals against their definition, and how often they hold."""

import math

import numpy as np
import pytest
from scipy import stats

from fairshrink.analysis import damage

LEVELS = (0.1, 0.25, 0.6, 1.35)
REPLICATES = 400


def controls(generator, growth=0.0, levels=LEVELS, seeds=4, tails=None, drift=0.0):
    """Residuals whose standard deviation is A ** (1 + growth), and whose mean is ``drift`` A squared."""
    sizes = np.repeat(levels, seeds) * np.exp(0.05 * generator.normal(size=seeds * len(levels)))
    return damage.Ladder(sizes, draw(generator, sizes, growth, tails, drift), np.arange(len(sizes)).astype(str))


def draw(generator, sizes, growth=0.0, tails=None, drift=0.0):
    z = generator.normal(size=len(sizes)) if tails is None else generator.standard_t(tails, len(sizes)) / math.sqrt(3)
    return sizes ** (1 + growth) * z + drift * sizes**2


def outside(size, **options):
    """Share of cells like controls whose residual is called another."""
    generator, count = np.random.default_rng(3), 0
    for _ in range(REPLICATES):
        found, _ = damage.expected(controls(generator, **options), size)
        law = {name: options[name] for name in ("growth", "tails", "drift") if name in options}
        (own,) = draw(generator, np.array([size]), **law)
        count += damage.against(own, found).p_value() <= 0.05
    return count / REPLICATES


@pytest.mark.parametrize("size", [0.1, 0.45, 1.34])
@pytest.mark.parametrize(
    "law",
    [{}, {"growth": 0.5}, {"growth": 1.0}, {"growth": -0.5}, {"drift": 2.0}, {"seeds": 8}],
    ids=["in proportion", "more after more", "much more", "less after more", "with a drift", "eight seeds"],
)
def test_a_cell_like_the_controls_is_one_of_them(law, size):
    assert outside(size, **law) <= stats.binom.ppf(0.999, REPLICATES, 0.055) / REPLICATES


def test_twelve_controls_of_three_damages_are_enough():
    for size in (0.2, 1.3):
        assert outside(size, levels=(0.2, 0.5, 1.35)) <= stats.binom.ppf(0.999, REPLICATES, 0.055) / REPLICATES


def test_one_spread_for_all_damages_would_be_noticed(monkeypatch):
    monkeypatch.setattr(damage, "POWERS", np.zeros(1))
    assert outside(1.34, growth=1.0, seeds=8) > 0.12


def test_the_prediction_is_that_of_weighted_least_squares():
    """With the power given: the line through residuals per amplitude, by square roots of weights and `lstsq`."""
    generator = np.random.default_rng(8)
    ladder, size, splits = controls(generator, growth=0.4), 0.5, 3
    x, y = np.log(ladder.amplitudes), ladder.residuals / ladder.amplitudes
    power = damage._power(x - math.log(size), y)
    assert power == damage._power(x, y) and power in damage.POWERS
    spread = (ladder.amplitudes / size) ** power
    design = np.column_stack([np.ones_like(x), x])
    fit = np.linalg.lstsq(design / spread[:, None], y / spread, rcond=None)[0]
    at = np.array([1.0, math.log(size)])
    square = np.sum(((y - design @ fit) / spread) ** 2) / (len(x) - 3)
    leverage = at @ np.linalg.inv((design / spread[:, None] ** 2).T @ design) @ at
    found, n = damage.expected(ladder, size, splits)
    assert n == len(x)
    assert found.value == pytest.approx(size * (at @ fit))
    assert found.standard_error == pytest.approx(size * math.sqrt(square * (1 / splits + leverage)))


def test_the_power_is_the_likeliest():
    """Against the restricted likelihood written down in full."""
    ladder = controls(np.random.default_rng(4), growth=0.7)
    x, y = np.log(ladder.amplitudes), ladder.residuals / ladder.amplitudes
    design = np.column_stack([np.ones_like(x), x])

    def likelihood(power):
        variance = np.diag(np.exp(2 * power * x))
        inverse = np.linalg.inv(variance)
        information = design.T @ inverse @ design
        rest = y - design @ np.linalg.solve(information, design.T @ inverse @ y)
        scale = rest @ inverse @ rest / (len(x) - 2)
        return -0.5 * (np.linalg.slogdet(scale * variance)[1] + np.linalg.slogdet(information / scale)[1] + len(x) - 2)

    assert damage._power(x, y) == max(damage.POWERS, key=likelihood)


def test_controls_of_one_damage_are_a_sample():
    generator = np.random.default_rng(1)
    residuals = 0.3 * generator.normal(size=12)
    ladder = damage.ladder([(0.3, each, str(i)) for i, each in enumerate(residuals)])
    found, _ = damage.expected(ladder, 0.3)
    assert found.value == pytest.approx(residuals.mean()) and found.df == 11
    assert found.standard_error == pytest.approx(residuals.std(ddof=1) * math.sqrt(1 + 1 / 12))


def test_the_ends_of_the_ladder_are_known_less_well_than_its_middle():
    ladder = controls(np.random.default_rng(2), seeds=6)
    middle, end = (damage.expected(ladder, size)[0] for size in (0.4, 1.35))
    assert end.df < middle.df <= len(ladder.amplitudes) - 3


def test_units_of_amplitude_and_residual_do_not_matter():
    ladder = controls(np.random.default_rng(6), growth=0.5)
    scaled = damage.Ladder(7 * ladder.amplitudes, 100 * ladder.residuals, ladder.owners)
    one, other = damage.expected(ladder, 0.5)[0], damage.expected(scaled, 3.5)[0]
    assert (other.value, other.standard_error) == pytest.approx((100 * one.value, 100 * one.standard_error))
    assert other.df == pytest.approx(one.df)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, 0.05, 2.0])
def test_no_error_where_no_control_is_near(size):
    found, _ = damage.expected(controls(np.random.default_rng(0)), size)
    assert math.isnan(found.standard_error) and math.isnan(damage.against(0.1, found).p_value())


def test_fewer_than_ten_controls_are_none():
    nine = controls(np.random.default_rng(0), levels=(0.3, 0.5, 0.9), seeds=3)
    found, n = damage.expected(nine, 0.5)
    assert n == 9 and math.isnan(found.standard_error)


def test_residuals_that_are_all_0_leave_no_error():
    ladder = damage.ladder([(size, 0.0, str(i)) for i, size in enumerate(np.linspace(0.2, 1.0, 12))])
    found, _ = damage.expected(ladder, 0.5)
    assert (found.value, found.standard_error) == (0.0, 0.0)


def test_a_control_is_not_compared_with_itself_and_undefined_ones_are_left_out():
    ladder = damage.ladder(
        [(0.2, 0.1, "a"), (0.2, 0.3, "b"), (math.nan, 0.1, "c"), (0.3, math.nan, "d"), (0.0, 0, "e")]
    )
    assert list(ladder.owners) == ["a", "b"] and list(ladder.without("a").owners) == ["b"]


@pytest.mark.parametrize(("value", "linear", "expected"), [(0.04, False, 0.2), (0.04, True, 0.04), (0.0, False, 0.0)])
def test_amplitude(value, linear, expected):
    assert damage.amplitude(value, linear=linear) == pytest.approx(expected)
    assert math.isnan(damage.amplitude(-0.1, linear=linear)) and math.isnan(damage.amplitude(math.nan, linear=linear))
