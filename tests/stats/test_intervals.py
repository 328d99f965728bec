from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from fairshrink.stats import estimates as st
from fairshrink.stats import reflection
from fairshrink.stats.inference import Inference
from fairshrink.stats.intervals import (
    bounded_interval,
    debiased_mean_square,
    effect_size_interval,
    share_difference_interval,
    share_interval,
    spearman_interval,
    where_nothing_moved,
)
from fairshrink.stats.jackknife import jackknife


@pytest.mark.parametrize(("count", "n"), [(1, 40), (13, 40), (39, 40), (200, 400)])
def test_independent_items_give_wilsons_interval(count, n):
    p = count / n
    share = Inference(p, math.sqrt(p * (1 - p) / n), math.inf)
    oracle = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert share_interval(share, n, n) == (pytest.approx(oracle.low), pytest.approx(oracle.high))
    percent = Inference(100 * p, 100 * share.standard_error, math.inf)
    assert share_interval(percent, n, n, unit=100) == (
        pytest.approx(100 * oracle.low),
        pytest.approx(100 * oracle.high),
    )


def test_clusters_that_agree_count_once():
    """Each of 30 clusters of 5 says the same five times: the interval is that of 30 items, but for n - 1 in V."""
    answers = np.arange(30) < 6
    found = jackknife(st.weighted_mean(np.repeat(answers, 5)), np.repeat(np.arange(30), 5))
    low, high = share_interval(found, 150, 30)
    z, p, n = stats.t.ppf(0.975, 29), 0.2, 29
    center, reach = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert low == pytest.approx((center - reach) / (1 + z**2 / n))
    assert high == pytest.approx((center + reach) / (1 + z**2 / n))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_none_is_no_certainty(p):
    found = jackknife(st.weighted_mean(np.full(60, p)), np.repeat(np.arange(20), 3))
    low, high = share_interval(found, 60, 20)
    z2 = stats.t.ppf(0.975, 19) ** 2
    expected = (0.0, z2 / 20 / (1 + z2 / 20))
    assert (low, high) == pytest.approx(expected if p == 0 else (1 - expected[1], 1.0))


def test_interval_stays_inside_and_contains_its_share():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        values = rng.random(40) < 0.04
        found = jackknife(st.weighted_mean(values), np.arange(40) // 2)
        low, high = share_interval(found, 40, 20)
        assert 0 <= low <= found.value <= high <= 1


def test_unknown_shares_have_no_interval():
    for share, clusters in (
        (Inference(math.nan, 0.1, 9.0), 10),
        (Inference(0.3, math.nan, 9.0), 10),
        (Inference(0.0, 0.0, 0.0), 1),
    ):
        assert all(math.isnan(each) for each in share_interval(share, 40, clusters))


def test_effect_sizes_inside_sets_and_in_the_union_say_the_same():
    rng = np.random.default_rng(4)
    first = np.arange(30) < 12
    values = rng.normal(size=30) + 1.1 * first
    estimate = reflection.as_estimate(reflection.effect_size_within(first, ~first), values)
    found = jackknife(estimate, np.arange(30), strata=first)
    t = stats.ttest_ind(values[first], values[~first]).statistic
    assert found.value == pytest.approx(t * math.sqrt(1 / 12 + 1 / 18))
    value, low, high = effect_size_interval(found, 12, 18)
    published = st.standardized_difference(values, first, ~first)(np.ones((1, 30)))[0]
    assert value == pytest.approx(published)
    assert low < value < high < 2.1
    assert effect_size_interval(Inference(-found.value, found.standard_error, found.df), 12, 18)[0] == pytest.approx(
        -value
    )
    assert all(math.isnan(each) for each in effect_size_interval(Inference(math.nan, math.nan, 9.0), 12, 18))


def test_bonett_wright_by_hand():
    """r = 0.6, n = 28: z = 0.69315, error = sqrt(1.18 / 25) = 0.21726."""
    low, high = spearman_interval(0.6, 28)
    assert low == pytest.approx(math.tanh(0.693147 - 1.959964 * 0.217256), abs=1e-5)
    assert high == pytest.approx(math.tanh(0.693147 + 1.959964 * 0.217256), abs=1e-5)
    assert spearman_interval(-0.6, 28) == (pytest.approx(-high), pytest.approx(-low))


def test_few_pairs():
    assert all(math.isnan(each) for each in spearman_interval(0.5, 7))
    for n in (8, 9):
        low, high = spearman_interval(0.5, n)
        z, error = math.atanh(0.5), math.sqrt(1.125 / (n - 3))
        t = stats.t.ppf(0.975, n - 2)
        assert (low, high) == (pytest.approx(math.tanh(z - t * error)), pytest.approx(math.tanh(z + t * error)))
    widths = [np.diff(spearman_interval(0.5, n))[0] for n in range(8, 13)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("n", [8, 10, 30])
def test_perfect_order_is_no_certainty(n):
    low, high = spearman_interval(1.0, n)
    assert high == 1.0
    swapped = [1, 0, *range(2, n)]
    next_value = stats.spearmanr(range(n), swapped).statistic
    assert low == pytest.approx(spearman_interval(next_value, n)[0])
    assert spearman_interval(-1.0, n) == (-1.0, pytest.approx(-low))


def test_debiased_mean_square_finds_the_true_one():
    rng = np.random.default_rng(0)
    true, errors = np.array([0.0, 0.3, -0.4, 0.1]), np.array([0.2, 0.5, 0.1, 0.4])
    drawn = [debiased_mean_square(true + errors * rng.normal(size=4), errors) for _ in range(40_000)]
    assert np.mean(drawn) == pytest.approx(np.mean(true**2), abs=4 * np.std(drawn) / 200)
    assert min(drawn) < 0
    assert debiased_mean_square([1.0, 2.0, math.nan], [0.5, 1.0, 0.1]) == pytest.approx((0.75 + 3) / 2)
    assert math.isnan(debiased_mean_square([], []))


@pytest.mark.parametrize("r", [-0.9, 0.0, 0.35, 0.97])
@pytest.mark.parametrize("n", [8, 50, 400])
def test_the_interval_of_a_correlation_is_fishers(r, n):
    """With the error of a correlation of normal pairs, (1 - r^2) / sqrt(n - 3), it is that of every textbook."""
    found = bounded_interval(Inference(r, (1 - r**2) / math.sqrt(n - 3), math.inf), -1.0, 1.0)
    reach = stats.norm.ppf(0.975) / math.sqrt(n - 3)
    assert found == (pytest.approx(math.tanh(math.atanh(r) - reach)), pytest.approx(math.tanh(math.atanh(r) + reach)))


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (0.0, 100.0)])
def test_bounded_intervals_stay_inside_whatever_the_error_and_contain_their_value(ends):
    low, high = ends
    for share in (0.0, 0.01, 0.5, 0.999, 1.0):
        value = low + share * (high - low)
        for error in (0.0, 0.1, 30.0):
            for df in (1.0, 7.0, math.inf):
                found = bounded_interval(Inference(value, error * (high - low), df), low, high)
                if error == 0:
                    assert all(map(math.isnan, found)), "no cluster changes it, which is no certainty"
                    continue
                assert low <= found[0] <= value + 1e-9 and value - 1e-9 <= found[1] <= high
    assert all(map(math.isnan, bounded_interval(Inference(0.3, math.nan, math.nan), low, high)))


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)  # fmt: skip
def test_the_interval_of_a_difference_of_shares_is_that_of_newcombes_table(a, m, b, n, low, high):
    """Newcombe 1998, *Interval estimation for the difference between independent proportions*, Table II, method 10."""
    of_a, of_b = (stats.binomtest(k, of).proportion_ci(0.95, method="wilson") for k, of in ((a, m), (b, n)))
    found = share_difference_interval(a / m, (of_a.low, of_a.high), b / n, (of_b.low, of_b.high))
    assert found == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@pytest.mark.parametrize(("n", "unit"), [(12, 1.0), (400, 100.0)])
def test_where_no_item_changed_sides_the_error_is_that_of_pairs_without_discordant_ones(n, unit):
    """By the score test, solved by bisection: no net change among n pairs, whose variance is d (1 - d) at a true d."""
    moved = where_nothing_moved(Inference(0.0, 0.0, n - 1.0), n, unit)
    z = stats.t.ppf(0.95, n - 1)
    end = optimize.brentq(lambda d: n * d / math.sqrt(n * d * (1 - d)) - z, 1e-9, 1 - 1e-9)
    assert moved.interval(0.9) == (pytest.approx(-unit * end), pytest.approx(unit * end))
    assert moved.p_value() == 1


def test_a_change_that_has_an_error_or_none_that_can_be_known_stays():
    for found in (Inference(0.0, 0.1, 9.0), Inference(0.2, 0.0, 9.0), Inference(0.0, 0.0, math.nan)):
        assert where_nothing_moved(found, 10) is found
