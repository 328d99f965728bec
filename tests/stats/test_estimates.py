from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fairshrink.stats import estimates as st

N, B = 60, 40
GENERATOR = np.random.default_rng(7)
X = np.round(GENERATOR.normal(size=N), 1)
Y = np.round(0.6 * X + GENERATOR.normal(size=N), 1)
MASK = GENERATOR.random(N) < 0.7
OTHER = ~MASK & (GENERATOR.random(N) < 0.6)
CLUSTERS = [f"c{int(c)}" for c in GENERATOR.integers(11, size=N)]


def macro(x: np.ndarray, copies: list[np.ndarray]) -> float:
    """Mean over drawn clusters of the mean within each."""
    means = [x[rows[MASK[rows]]].mean() for rows in copies if MASK[rows].any()]
    return float(np.mean(means))


def cohen(x, first, second):
    return (x[first].mean() - x[second].mean()) / x[first | second].std(ddof=1)


ESTIMATES = {
    "weighted_mean": (st.weighted_mean(X, MASK), lambda r: X[r][MASK[r]].mean()),
    "total": (st.total(X, MASK), lambda r: X[r][MASK[r]].sum()),
    "ratio": (st.ratio(X, Y + 9, MASK), lambda r: X[r][MASK[r]].sum() / (Y + 9)[r][MASK[r]].sum()),
    "sd": (st.standard_deviation(X, MASK), lambda r: X[r][MASK[r]].std(ddof=1)),
    "standardized_mean": (st.standardized_mean(X), lambda r: X[r].mean() / X[r].std(ddof=1)),
    "effect_size": (st.standardized_difference(X, MASK, OTHER), lambda r: cohen(X[r], MASK[r], OTHER[r])),
    "pearson": (st.pearson(X, Y), lambda r: stats.pearsonr(X[r], Y[r])[0]),
    "pearson_masked": (st.pearson(X, Y, MASK), lambda r: stats.pearsonr(X[r][MASK[r]], Y[r][MASK[r]])[0]),
    "spearman": (st.spearman(X, Y), lambda r: stats.spearmanr(X[r], Y[r])[0]),
    "spearman_masked": (st.spearman(X, Y, MASK), lambda r: stats.spearmanr(X[r][MASK[r]], Y[r][MASK[r]])[0]),
    "difference": (
        st.difference(st.weighted_mean(X), st.spearman(X, Y)),
        lambda r: X[r].mean() - stats.spearmanr(X[r], Y[r])[0],
    ),
    "exp": (st.combine(np.exp, st.weighted_mean(X)), lambda r: np.exp(X[r].mean())),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_weights_are_equivalent_to_copies_of_rows(name):
    estimate, slow = ESTIMATES[name]
    weights = st.bootstrap_weights(CLUSTERS, B, seed=3)
    copies = [np.repeat(np.arange(N), row.astype(int)) for row in weights]
    np.testing.assert_allclose(estimate(weights), [slow(rows) for rows in copies], rtol=1e-10)
    assert estimate(np.ones((1, N)))[0] == pytest.approx(slow(np.arange(N)), rel=1e-10)


def test_a_cluster_drawn_twice_counts_as_two_clusters():
    names, codes = np.unique(CLUSTERS, return_inverse=True)
    counts = st.bootstrap_counts(len(names), B, seed=3)
    slow = [
        macro(X, [np.flatnonzero(codes == c) for c in range(len(names)) for _ in range(drawn[c])]) for drawn in counts
    ]
    np.testing.assert_allclose(st.cluster_mean(X, CLUSTERS, MASK)(counts[:, codes]), slow, rtol=1e-10)


def test_resampling_from_cluster_sums_equals_weighting_each_row():
    names, codes = np.unique(CLUSTERS, return_inverse=True)
    estimates = [each for each, _ in ESTIMATES.values()] + [lambda w: w @ X]
    counts = st.bootstrap_counts(len(names), B, seed=5)
    weights = st.bootstrap_weights(CLUSTERS, B, seed=5)
    expected = [each(weights) for each in estimates]
    np.testing.assert_allclose(st.resample(estimates, codes, counts), expected, rtol=1e-9)


def test_interval_equals_that_of_a_slow_cluster_bootstrap():
    generator, names = np.random.default_rng(11), sorted(set(CLUSTERS))
    rows = {name: [i for i, c in enumerate(CLUSTERS) if c == name] for name in names}
    means = []
    for _ in range(300):
        drawn = [names[i] for i in generator.integers(len(names), size=len(names))]
        means.append(np.mean(X[[i for name in drawn for i in rows[name]]]))
    expected = np.percentile(means, [5, 95])
    weights = st.bootstrap_weights(CLUSTERS, 300, seed=11)
    np.testing.assert_allclose(st.interval(st.weighted_mean(X)(weights), 0.9), expected, rtol=1e-12)


def test_interval_has_about_its_nominal_coverage():
    covered = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        x = np.repeat(generator.normal(size=40), 3) + 0.3 * generator.normal(size=120)
        weights = st.bootstrap_weights(np.repeat(np.arange(40), 3), 200, seed=seed)
        low, high = st.interval(st.weighted_mean(x)(weights), 0.9)
        covered += low <= 0 <= high
    assert 0.82 <= covered / 200 <= 0.96


def test_weights_do_not_depend_on_row_order_and_draw_whole_clusters():
    weights = st.bootstrap_weights(CLUSTERS, 9, seed=1)
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_array_equal(st.bootstrap_weights([CLUSTERS[i] for i in order], 9, seed=1), weights[:, order])
    for name in set(CLUSTERS):
        inside = weights[:, [i for i, c in enumerate(CLUSTERS) if c == name]]
        assert (inside == inside[:, :1]).all()
    np.testing.assert_array_equal(st.bootstrap_weights(CLUSTERS, 4, seed=1), weights[:4])
    assert not np.array_equal(st.bootstrap_weights(CLUSTERS, 9, seed=2), weights)


def test_undefined_estimates_are_nan_without_a_warning(recwarn):
    one, nothing = np.ones((2, N)), np.zeros(N, dtype=bool)
    constant = np.full(N, 0.1)
    for estimate in (
        st.weighted_mean(X, nothing),
        st.cluster_mean(X, CLUSTERS, nothing),
        st.pearson(constant, Y),
        st.spearman(X, constant),
        st.spearman(X, Y, nothing),
        st.standardized_mean(constant),
        st.standard_deviation(X, np.arange(N) < 1),
        st.weighted_mean(np.where(MASK, np.nan, X), MASK),
    ):
        assert np.isnan(estimate(one)).all()
    assert st.standard_deviation(constant)(one)[0] == 0.0
    assert st.weighted_mean(np.where(MASK, X, np.nan), MASK)(one)[0] == pytest.approx(X[MASK].mean())
    assert not recwarn.list


def test_interval_of_mostly_undefined_values_is_undefined():
    assert np.isnan(st.interval([1.0, np.nan, np.nan])).all()
    assert st.interval([1.0, 3.0, np.nan], level=1.0) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ([1.0] * 99, 2 / 100),
        ([1.0] * 90 + [-1.0] * 9, 2 * 10 / 100),
        ([-1.0] * 90 + [1.0] * 9, 2 * 10 / 100),
        ([0.0] * 99, 1.0),
        ([1e-14] * 99, 1.0),
        ([1.0] * 50 + [-1.0] * 49, 1.0),
    ],
)
def test_paired_p_by_hand(change, expected):
    base = np.full(99, 5.0)
    assert st.paired_p(base + np.array(change), base) == pytest.approx(expected)


def test_paired_p_agrees_with_the_interval_of_the_difference():
    generator = np.random.default_rng(2)
    change = generator.normal(0.02, 0.1, size=(30, 200))
    weights = st.bootstrap_weights(np.arange(200), 999, seed=0)
    for row in change:
        draws = st.weighted_mean(row)(weights)
        low, high = st.interval(draws, 0.9)
        assert (st.paired_p(draws, np.zeros(999)) < 0.1) == (low > 0 or high < 0)


def test_paired_p_is_rarely_small_where_nothing_changed():
    small = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        one, other = generator.normal(size=(2, 80)) + generator.normal(size=80)
        weights = st.bootstrap_weights(np.arange(80), 199, seed=seed)
        small += st.paired_p(st.weighted_mean(one)(weights), st.weighted_mean(other)(weights)) <= 0.1
    assert 0.04 <= small / 200 <= 0.17


def test_adjustment_by_hand_and_by_scipy():
    by_hand = [0.01 * 5 / 2, 0.04, 0.03 * 5 / 4, 0.005 * 5, 0.02 * 5 / 3]
    np.testing.assert_allclose(st.adjust([0.01, 0.04, 0.03, 0.005, 0.02]), by_hand)
    p = np.random.default_rng(1).random(50) ** 3
    np.testing.assert_allclose(st.adjust(p), stats.false_discovery_control(p))
    adjusted = st.adjust([0.5, np.nan, 0.01])
    assert np.isnan(adjusted[1])
    np.testing.assert_allclose(adjusted[[0, 2]], [0.5, 0.02])
    assert st.adjust([]).shape == (0,)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantile_is_numpys_without_interpolation(share):
    generator = np.random.default_rng(5)
    values, rows = np.round(generator.normal(size=400), 2), np.sort(generator.integers(25, size=400))
    estimate = st.quantile(values, share, rows)
    weights = generator.integers(0, 4, size=(30, 25)).astype(float)
    expected = [np.quantile(np.repeat(values, row[rows].astype(int)), share, method="inverted_cdf") for row in weights]
    np.testing.assert_array_equal(estimate(weights), expected)


def test_quantile_by_hand():
    """99 % of 400 are 396; a row that is not drawn takes its values along."""
    values = np.arange(400.0)[::-1]
    assert st.quantile(values, 0.99, np.arange(400))(np.ones((1, 400))) == 395
    assert st.quantile([1.0, 2.0, 9.0], 0.6, [0, 0, 1])(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 3.0]])).tolist() == [
        2,
        2,
        9,
    ]


def test_quantile_of_nothing_or_of_nan_is_undefined():
    assert np.isnan(st.quantile([], 0.5, [])(np.ones((2, 3)))).all()
    assert np.isnan(st.quantile([1.0, np.nan], 0.5, [0, 1])(np.ones((2, 2)))).all()
    assert np.isnan(st.quantile([1.0], 0.5, [0])(np.zeros((1, 2)))).all()
