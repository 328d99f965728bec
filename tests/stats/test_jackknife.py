from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairshrink.stats import estimates as st
from fairshrink.stats.inference import Inference
from fairshrink.stats.jackknife import influence, jackknife, jackknife_jointly

N = 60
RNG = np.random.default_rng(7)
X = RNG.normal(size=N)
Y = 0.6 * X + RNG.normal(size=N)
ONE = np.array([f"t{i}" for i in RNG.integers(9, size=N)])
OTHER = np.array([f"p{i}" for i in RNG.integers(7, size=N)])


def ratio(rows):
    return X[rows].sum() / (Y[rows] + 9).sum()


def spearman(rows):
    return stats.spearmanr(X[rows], Y[rows])[0]


SLOW = {"ratio": (st.ratio(X, Y + 9), ratio), "spearman": (st.spearman(X, Y), spearman)}


def delete_one(function, labels):
    """Textbook jackknife variance, one cluster after the other, on copies of the rows."""
    without = [function(np.flatnonzero(labels != each)) for each in sorted(set(labels))]
    g = len(without)
    return (g - 1) / g * sum((each - np.mean(without)) ** 2 for each in without)


def test_mean_of_independent_rows_has_the_classical_standard_error():
    found = jackknife(st.weighted_mean(X), np.arange(N))
    assert found.value == pytest.approx(X.mean())
    assert found.standard_error == pytest.approx(stats.sem(X), rel=1e-12)
    assert found.df == N - 1
    assert found.p_value() == pytest.approx(stats.ttest_1samp(X, 0).pvalue, rel=1e-10)


def test_mean_of_equal_clusters_is_a_t_test_of_their_means():
    clusters = np.repeat(np.arange(12), 5)
    means = X.reshape(12, 5).mean(axis=1)
    found = jackknife(st.weighted_mean(X), clusters)
    assert (found.standard_error, found.df) == (pytest.approx(stats.sem(means), rel=1e-12), 11)


@pytest.mark.parametrize("name", SLOW)
def test_one_column_equals_a_slow_loop(name):
    estimate, slow = SLOW[name]
    found = jackknife(estimate, ONE)
    assert found.value == pytest.approx(slow(np.arange(N)))
    assert found.standard_error**2 == pytest.approx(delete_one(slow, ONE), rel=1e-10)
    assert found.df == len(set(ONE)) - 1


@pytest.mark.parametrize("name", SLOW)
def test_sums_and_weights_give_the_same(name):
    estimate, _ = SLOW[name]
    for options in ({}, {"groups": 5, "seed": 2}):
        fast = jackknife(estimate, ONE, OTHER, **options)
        slow = jackknife(lambda weights: estimate(weights), ONE, OTHER, **options)
        np.testing.assert_allclose(
            [fast.value, fast.standard_error, fast.df], [slow.value, slow.standard_error, slow.df], rtol=1e-10
        )


@pytest.mark.parametrize("name", SLOW)
def test_two_columns_are_added_without_what_they_share(name):
    estimate, slow = SLOW[name]
    cells = np.array([f"{a}/{b}" for a, b in zip(ONE, OTHER, strict=True)])
    one, other, both = (delete_one(slow, each) for each in (ONE, OTHER, cells))
    found = jackknife(estimate, ONE, OTHER)
    assert found.standard_error**2 == pytest.approx(max(one, other, one + other - both), rel=1e-10)
    assert found.df == min(len(set(ONE)), len(set(OTHER))) - 1


def test_two_way_variance_is_never_below_either_column():
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=N)
        found = jackknife(st.weighted_mean(values), ONE, OTHER).standard_error
        single = [jackknife(st.weighted_mean(values), each).standard_error for each in (ONE, OTHER)]
        assert found >= max(single) * (1 - 1e-12)


def test_nested_column_changes_nothing():
    outer = np.repeat(np.arange(6), 10)
    inner = np.repeat(np.arange(12), 5)
    values = X + 3 * np.random.default_rng(0).normal(size=6)[outer]
    one, two = jackknife(st.weighted_mean(values), outer), jackknife(st.weighted_mean(values), outer, inner)
    assert two.standard_error == pytest.approx(one.standard_error, rel=1e-12)
    assert two.df == one.df == 5


def test_groups_equal_a_slow_loop_with_unequal_groups():
    clusters, g = np.repeat(np.arange(20), 3), 6
    found = jackknife(st.weighted_mean(X), clusters, groups=g, seed=4)
    dealt = np.random.default_rng(4).permutation(20) % g
    value, total, pseudo, h = X.mean(), 0.0, [], []
    for j in range(g):
        h.append(20 / (dealt == j).sum())
        without = X[~np.isin(clusters, np.flatnonzero(dealt == j))].mean()
        pseudo.append(h[j] * value - (h[j] - 1) * without)
        total += (1 - 1 / h[j]) * without
    center = g * value - total
    variance = sum((p - center) ** 2 / (each - 1) for p, each in zip(pseudo, h, strict=True)) / g
    assert found.standard_error**2 == pytest.approx(variance, rel=1e-10)
    assert found.df == g - 1


def test_groups_estimate_the_same_error_on_average():
    single = jackknife(st.weighted_mean(X), np.arange(N)).standard_error ** 2
    grouped = [jackknife(st.weighted_mean(X), np.arange(N), groups=20, seed=s).standard_error ** 2 for s in range(200)]
    assert np.mean(grouped) == pytest.approx(single, rel=0.05)
    assert jackknife(st.weighted_mean(X), np.arange(N), groups=20, seed=1) == jackknife(
        st.weighted_mean(X), np.arange(N), groups=20, seed=1
    )
    assert np.std(grouped) > 0


def test_more_groups_than_clusters_leave_out_single_clusters():
    assert jackknife(st.weighted_mean(X), ONE, groups=40, seed=9) == jackknife(st.weighted_mean(X), ONE)


def test_delete_one_of_a_median_fails_and_groups_do_better():
    """The textbook example of a statistic that is not smooth; the true error is pi/2 times that of the mean."""

    def median(weights):
        return np.array([np.median(table[row > 0]) for row in weights])

    single, grouped = [], []
    for seed in range(60):
        table = np.random.default_rng(seed).normal(size=200)
        single.append(jackknife(median, np.arange(200)).standard_error ** 2)
        grouped.append(jackknife(median, np.arange(200), groups=10, seed=seed).standard_error ** 2)
    truth = math.pi / 2 / 200
    assert np.mean(single) / truth > 1.6
    assert 0.6 < np.mean(grouped) / truth < 1.45


def test_strata_add_their_variances_as_in_welchs_test():
    first = np.arange(N) < 15
    found = jackknife(
        st.difference(st.weighted_mean(X, first), st.weighted_mean(X, ~first)), np.arange(N), strata=first
    )
    oracle = stats.ttest_ind(X[first], X[~first], equal_var=False)
    assert found.p_value() == pytest.approx(oracle.pvalue, rel=1e-10)
    assert found.df == pytest.approx(oracle.df, rel=1e-10)


def test_a_cluster_in_two_strata_is_an_error():
    with pytest.raises(ValueError, match="stratum"):
        jackknife(st.weighted_mean(X), ONE, strata=np.arange(N) % 2)


def test_clusters_without_a_row_that_counts_are_no_information():
    mask = np.arange(N) < 30
    found = jackknife(st.weighted_mean(X, mask), np.arange(N))
    assert found == jackknife(st.weighted_mean(X[:30]), np.arange(30))
    slow = jackknife(lambda weights: st.weighted_mean(X, mask)(weights), np.arange(N), rows=mask)
    assert (found.value, found.df) == (slow.value, 29)
    assert found.standard_error == pytest.approx(slow.standard_error)


def test_several_statistics_share_one_pass():
    def both(weights):
        return np.stack([st.weighted_mean(X)(weights), st.spearman(X, Y)(weights)])

    mean, rho = jackknife_jointly(both, ONE)
    assert mean.standard_error == pytest.approx(jackknife(st.weighted_mean(X), ONE).standard_error)
    assert rho.standard_error == pytest.approx(jackknife(st.spearman(X, Y), ONE).standard_error)


def test_labels_and_row_order_do_not_matter():
    order = np.random.default_rng(0).permutation(N)
    shuffled = jackknife(st.weighted_mean(X[order]), ONE[order], groups=4, seed=3)
    straight = jackknife(st.weighted_mean(X), ONE, groups=4, seed=3)
    assert shuffled.standard_error == pytest.approx(straight.standard_error, rel=1e-10)


def test_what_cannot_be_estimated_has_no_error(recwarn):
    nothing = np.zeros(N, dtype=bool)
    for found in (
        jackknife(st.weighted_mean(X), np.zeros(N, dtype=int)),
        jackknife(st.weighted_mean(X), ONE, np.zeros(N, dtype=int)),
        jackknife(st.weighted_mean(X, nothing), ONE),
        jackknife(st.weighted_mean(np.where(np.arange(N) == 3, np.nan, X)), ONE),
    ):
        assert math.isnan(found.standard_error) and math.isnan(found.p_value())
    assert jackknife(st.weighted_mean(np.full(N, 2.0)), ONE) == Inference(2.0, 0.0, len(set(ONE)) - 1.0)
    assert not recwarn.list


@pytest.mark.parametrize("columns", [0, 3])
def test_one_or_two_columns(columns):
    with pytest.raises(ValueError, match="one or two"):
        jackknife(st.weighted_mean(X), *[ONE] * columns)


def test_influence_is_the_largest_change_without_one_cluster():
    generator = np.random.default_rng(5)
    values, labels = generator.normal(size=40), generator.integers(0, 7, 40)
    changes = [abs(values[labels != each].mean() - values.mean()) for each in range(7)]
    assert influence(st.weighted_mean(values), labels) == pytest.approx(max(changes))
    # Clusters without a row that counts are not left out; one cluster alone says nothing.
    assert influence(st.weighted_mean(values, labels < 3), labels) == pytest.approx(
        max(abs(values[(labels < 3) & (labels != each)].mean() - values[labels < 3].mean()) for each in range(3))
    )
    assert math.isnan(influence(st.weighted_mean(values), np.zeros(40, dtype=int)))
