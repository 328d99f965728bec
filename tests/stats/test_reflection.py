from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairshrink.stats import estimates as st
from fairshrink.stats import reflection as rf
from fairshrink.stats.jackknife import jackknife

N = 80
RNG = np.random.default_rng(5)
BASE = RNG.normal(0.3, 1, size=N)
AFTER = 0.6 * BASE + RNG.normal(0.1, 0.5, size=N)
NEUTRAL = RNG.normal(size=N)
NEUTRAL_AFTER = 0.6 * NEUTRAL + RNG.normal(0, 0.3, size=N)
CLUSTERS = np.arange(N) // 2
ALL = np.ones(N, dtype=bool)
FIRST = np.arange(N) < 30
TERMS = np.arange(N) % 7

FUNCTIONALS = {
    "mean": (rf.mean(ALL), lambda s: s.mean()),
    "mean of some": (rf.mean(FIRST), lambda s: s[FIRST].mean()),
    "difference": (rf.mean_difference(FIRST, ~FIRST), lambda s: s[FIRST].mean() - s[~FIRST].mean()),
    "macro": (rf.macro_mean(TERMS, ALL), lambda s: np.mean([s[t == TERMS].mean() for t in range(7)])),
    "share": (rf.share_above(ALL, unit=100), lambda s: 100 * np.mean(s > 0)),
    "macro share": (rf.share_above(ALL, TERMS), lambda s: np.mean([(s[t == TERMS] > 0).mean() for t in range(7)])),
    "effect size": (
        rf.effect_size(FIRST, ~FIRST),
        lambda s: (s[FIRST].mean() - s[~FIRST].mean()) / s.std(ddof=1),
    ),
    "effect size within": (
        rf.effect_size_within(FIRST, ~FIRST),
        lambda s: stats.ttest_ind(s[FIRST], s[~FIRST]).statistic * math.sqrt(1 / 30 + 1 / 50),
    ),
}
LINEAR = ("mean", "mean of some", "difference", "macro")


def kept(intercept=False):
    return rf.line(NEUTRAL, NEUTRAL_AFTER, intercept=intercept)


def decomposed(name, baseline=BASE, checkpoint=AFTER, line=None, **options):
    return rf.decompose(FUNCTIONALS[name][0], baseline, checkpoint, line or kept(), CLUSTERS, **options)


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_functionals_are_what_they_say(name):
    functional, slow = FUNCTIONALS[name]
    signals = np.stack([BASE, AFTER])
    np.testing.assert_allclose(functional(signals, np.ones((2, N))), [slow(BASE), slow(AFTER)], rtol=1e-12)
    np.testing.assert_allclose(rf.as_estimate(functional, BASE)(np.ones((3, N))), [slow(BASE)] * 3, rtol=1e-12)


def test_lines_are_least_squares():
    ones = np.ones((1, N))
    slope, intercept = kept(intercept=True)(ones)[:, 0]
    oracle = stats.linregress(NEUTRAL, NEUTRAL_AFTER)
    np.testing.assert_allclose([slope, intercept], [oracle.slope, oracle.intercept], rtol=1e-10)
    slope, intercept = kept()(ones)[:, 0]
    expected = np.linalg.lstsq(NEUTRAL[:, None], NEUTRAL_AFTER, rcond=None)[0][0]
    assert (slope, intercept) == (pytest.approx(expected), 0.0)
    mask = np.arange(N) % 3 > 0
    slope, intercept = rf.line(NEUTRAL, NEUTRAL_AFTER, mask, intercept=True)(ones)[:, 0]
    oracle = stats.linregress(NEUTRAL[mask], NEUTRAL_AFTER[mask])
    np.testing.assert_allclose([slope, intercept], [oracle.slope, oracle.intercept], rtol=1e-10)


def test_line_within_sets_is_the_regression_with_a_level_for_each():
    levels = (TERMS[:, None] == np.arange(7)).astype(float)
    weights = RNG.integers(0, 3, size=(1, N)).astype(float)
    rows = np.repeat(np.arange(N), weights[0].astype(int))
    expected = np.linalg.lstsq(np.column_stack([BASE, levels])[rows], AFTER[rows], rcond=None)[0][0]
    assert rf.line_within(BASE, AFTER, TERMS)(weights)[0, 0] == pytest.approx(expected)
    # A bias that moves whole sets apart is no signal kept.
    moved = rf.line_within(BASE, AFTER + 5 * levels[:, 0], TERMS)(weights)[0, 0]
    assert moved == pytest.approx(expected)


def test_line_without_variation_is_undefined(recwarn):
    ones = np.ones((1, N))
    assert np.isnan(rf.line(np.full(N, 0.1), AFTER, intercept=True)(ones)).all()
    assert np.isnan(rf.line(np.zeros(N), AFTER, intercept=False)(ones)).all()
    assert np.isnan(rf.line_within(1.0 * TERMS, AFTER, TERMS)(ones)[0]).all()
    assert not recwarn.list


@pytest.mark.parametrize("name", FUNCTIONALS)
@pytest.mark.parametrize("intercept", [False, True])
def test_null_is_the_definition(name, intercept):
    _, slow = FUNCTIONALS[name]
    slope, level = kept(intercept)(np.ones((1, N)))[:, 0]
    null = (slow(AFTER) + slow(2 * (level + slope * BASE) - AFTER)) / 2
    found = decomposed(name, line=kept(intercept))
    assert found.null.value == pytest.approx(null)
    assert found.residual.value == pytest.approx(slow(AFTER) - null)
    assert found.change.value == pytest.approx(slow(AFTER) - slow(BASE))
    assert found.explained.value + found.residual.value == pytest.approx(found.change.value)
    assert (found.baseline.value, found.checkpoint.value) == (pytest.approx(slow(BASE)), pytest.approx(slow(AFTER)))


@pytest.mark.parametrize("name", LINEAR)
def test_null_of_a_linear_statistic_is_the_baseline_times_k(name):
    found = decomposed(name)
    assert found.null.value == pytest.approx(found.kept.value * found.baseline.value)


@pytest.mark.parametrize("name", ["mean", "mean of some", "difference", "share", "effect size"])
def test_errors_are_those_of_a_slow_jackknife_that_fits_k_again(name):
    residuals = []
    for cluster in range(N // 2):
        rows = cluster != CLUSTERS
        slope = (NEUTRAL[rows] * NEUTRAL_AFTER[rows]).sum() / (NEUTRAL[rows] ** 2).sum()

        def some(signal, rows=rows):
            if name in ("mean", "share"):
                return slow_on(name, signal[rows])
            one, other = signal[rows & FIRST], signal[rows & ~FIRST]
            if name == "mean of some":
                return one.mean()
            return (one.mean() - other.mean()) / (signal[rows].std(ddof=1) if name == "effect size" else 1)

        residuals.append(some(AFTER) - (some(AFTER) + some(2 * slope * BASE - AFTER)) / 2)
    g = len(residuals)
    expected = math.sqrt((g - 1) / g * np.sum((residuals - np.mean(residuals)) ** 2))
    found = decomposed(name, groups=None)
    assert found.residual.standard_error == pytest.approx(expected, rel=1e-9)
    assert found.residual.df == g - 1


def slow_on(name, values):
    return values.mean() if name == "mean" else 100 * (values > 0).mean()


@pytest.mark.parametrize("name", FUNCTIONALS)
@pytest.mark.parametrize("k", [1.0, 0.37, 0.1])
@pytest.mark.parametrize("null", ["reflection", "shuffled"])
def test_pure_scaling_leaves_no_residual(name, k, null):
    found = decomposed(name, checkpoint=k * BASE, line=rf.line(NEUTRAL, k * NEUTRAL, intercept=False), null=null)
    assert found.kept.value == pytest.approx(k)
    assert (found.residual.value, found.residual.standard_error) == (0.0, 0.0)
    assert found.residual.p_value() == 1.0


def test_k_from_the_mean_itself_with_intercept_explains_everything():
    found = decomposed("mean", line=rf.line(BASE, AFTER, intercept=True))
    assert found.residual.value == 0.0 and found.residual.p_value() == 1.0


@pytest.mark.parametrize("name", LINEAR)
def test_nulls_of_linear_statistics_agree(name):
    assert decomposed(name) == decomposed(name, null="shuffled")


def test_shuffled_null_is_that_of_all_pairs():
    """Its 16 random pairings against all N * N."""
    slope = kept()(np.ones((1, N)))[0, 0]
    errors = AFTER - slope * BASE
    pairs = slope * BASE[:, None] + (errors - errors.mean())[None, :]
    found = decomposed("share", null="shuffled")
    assert found.null.value == pytest.approx(100 * (pairs > 0).mean(), abs=100 * 3 * 0.5 / math.sqrt(16 * N))


def test_a_planted_change_is_a_residual_and_a_loss_of_signal_is_not():
    lost, moved = 0.6 * BASE, 0.6 * BASE + 0.8
    noise = np.random.default_rng(1).normal(0, 0.3, size=N)
    for name in ("mean", "share"):
        for null in ("reflection", "shuffled"):
            assert decomposed(name, checkpoint=moved + noise, null=null).residual.p_value() < 0.01
            assert decomposed(name, checkpoint=lost + noise, null=null).residual.p_value() > 0.05


def test_contrast_may_have_rows_and_clusters_of_its_own():
    values = np.concatenate([BASE, np.full(N, np.nan)])
    after = np.concatenate([AFTER, np.full(N, np.nan)])
    own = np.arange(2 * N) < N
    line = rf.line(np.concatenate([BASE, NEUTRAL]), np.concatenate([AFTER, NEUTRAL_AFTER]), ~own, intercept=False)
    clusters = np.concatenate([CLUSTERS, 1000 + np.arange(N)])
    for functional in (rf.mean(own), rf.share_above(own)):
        for null in ("reflection", "shuffled"):
            found = rf.decompose(
                functional, values, after, line, clusters, groups=None, strata=own, mask=own, null=null
            )
            assert found.kept.value == pytest.approx(decomposed("mean").kept.value)
            assert found.baseline.df == N // 2 - 1
            assert found.kept.df == N - 1
            # K and the mean are independent: the variance of their product adds up.
            if isinstance(functional, rf.Linear):
                expected = jackknife(rf.as_estimate(rf.mean(ALL), BASE), CLUSTERS).standard_error
                assert found.baseline.standard_error == pytest.approx(expected)
    found = rf.decompose(rf.mean(own), values, after, line, clusters, strata=own, mask=own)
    by_hand = (found.kept.value * found.baseline.standard_error) ** 2 + (
        found.baseline.value * found.kept.standard_error
    ) ** 2
    assert found.null.standard_error**2 == pytest.approx(by_hand, rel=0.01)


def test_two_crossed_columns_reach_the_decomposition():
    one, other = np.arange(N) // 8, np.arange(N) % 8
    found = rf.decompose(rf.mean(ALL), BASE, AFTER, kept(), one, other)
    assert found.change.standard_error == pytest.approx(
        jackknife(st.difference(st.weighted_mean(AFTER), st.weighted_mean(BASE)), one, other).standard_error
    )


def test_an_unknown_signal_makes_everything_of_it_unknown():
    broken = np.where(np.arange(N) == 4, np.nan, AFTER)
    for name in FUNCTIONALS:
        found = decomposed(name, checkpoint=broken)
        assert math.isnan(found.checkpoint.value) and math.isnan(found.residual.p_value())
        assert not math.isnan(found.baseline.value)


def test_a_tie_is_not_above():
    assert rf.share_above(np.ones(4))(np.array([[0.0, 0.0, 1.0, -1.0]]), np.ones((1, 4)))[0] == 0.25


def test_the_mean_of_a_transformed_signal_against_numpy():
    generator = np.random.default_rng(8)
    s, inside = generator.normal(size=12), np.arange(12) < 9
    weights = generator.integers(1, 4, size=(3, 12)).astype(float)
    s[10] = np.nan  # outside
    found = rf.mean_of(np.tanh, inside)(s[None, :], weights)
    expected = [np.average(np.tanh(s[inside]), weights=row[inside]) for row in weights]
    assert found == pytest.approx(expected)
    s[2] = np.nan
    assert np.isnan(rf.mean_of(np.tanh, inside)(s[None, :], weights)).all()


def test_the_mean_over_functionals_is_unknown_where_one_is():
    s = np.array([1.0, 2.0, 4.0, 7.0])
    first = np.array([True, True, False, False])
    both = [rf.mean(first), rf.mean(~first)]
    assert rf.mean_over(both)(s[None, :], np.ones((1, 4)))[0] == pytest.approx((1.5 + 5.5) / 2)
    s[3] = np.nan
    assert np.isnan(rf.mean_over(both)(s[None, :], np.ones((1, 4)))[0])


def test_an_effect_size_without_enough_spread_is_unknown():
    s, first = np.array([1.0, 2.0, 4.0, 7.0]), np.array([True, True, False, False])
    sd = np.std(s, ddof=1)
    for least, known in ((0.99 * sd, True), (1.01 * sd, False)):
        d = rf.effect_size(first, ~first, least)(s[None, :], np.ones((1, 4)))[0]
        assert np.isfinite(d) == known


def test_a_tie_stays_one_in_the_null():
    """The baseline as its own checkpoint: a line fitted with rounding errors must not move ties to either side."""
    generator = np.random.default_rng(9)
    for _ in range(20):
        s = generator.normal(size=30) * 10 - 3
        s[:6] = 0.0
        share = rf.share_above(np.ones(30, dtype=bool), unit=100)
        fit = rf.line(s, s, intercept=True)
        for null in ("reflection", "shuffled"):
            values = rf.parts(share, s, s, fit, null=null)(np.ones((1, 30)))[:, 0]
            assert values[4] == pytest.approx(values[0]) and values[6] == 0
