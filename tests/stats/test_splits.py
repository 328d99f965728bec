from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairshrink.stats import estimates as st
from fairshrink.stats.inference import Inference
from fairshrink.stats.jackknife import jackknife
from fairshrink.stats.splits import against_controls, over_splits, prediction_interval, split_random

RNG = np.random.default_rng(2)
N, M = 50, 4
ITEMS = RNG.normal(size=N)
TABLES = [ITEMS + 0.3 * RNG.normal(size=N) + shift for shift in (0.1, -0.2, 0.4, 0.0)]
ESTIMATES = [st.weighted_mean(each) for each in TABLES]


def test_variance_is_that_between_splits_plus_the_covariance_of_their_items():
    (found,) = over_splits(ESTIMATES, np.arange(N))
    means = np.array([each.mean() for each in TABLES])
    covariance = np.cov(np.stack(TABLES)) / N
    shared = covariance[~np.eye(M, dtype=bool)].mean()
    between = means.var(ddof=1) / M
    assert found.training.value == pytest.approx(means.mean())
    assert found.training.standard_error**2 == pytest.approx(between + shared, rel=1e-10)
    # Cochran and Cox: each part of the variance with its own quantile.
    few, many = stats.t.ppf(0.975, M - 1), stats.t.ppf(0.975, N - 1)
    reach = (between * few + shared * many) / math.sqrt(between + shared)
    np.testing.assert_allclose(found.training.interval(), (means.mean() - reach, means.mean() + reach))
    assert M - 1 < found.training.df < N - 1
    assert found.checkpoints.standard_error == pytest.approx(stats.sem(np.mean(TABLES, axis=0)))
    for own, table in zip(found.splits, TABLES, strict=True):
        assert own.standard_error == pytest.approx(stats.sem(table))


def test_several_statistics_and_those_without_sums():
    def both(table):
        return lambda weights: np.stack([st.weighted_mean(table)(weights), st.spearman(table, ITEMS)(weights)])

    mean, rho = over_splits([both(each) for each in TABLES], np.arange(N))
    assert mean.training.standard_error == pytest.approx(
        over_splits(ESTIMATES, np.arange(N))[0].training.standard_error
    )
    for own, table in zip(rho.splits, TABLES, strict=True):
        alone = jackknife(st.spearman(table, ITEMS), np.arange(N))
        assert (own.value, own.standard_error) == (pytest.approx(alone.value), pytest.approx(alone.standard_error))


def test_splits_on_items_of_their_own_are_a_one_sample_t_test():
    """Independent errors of the items: nothing is shared, and the splits say all."""
    values = np.array([0.3, 0.5, 0.1, 0.8, 0.4])
    splits = [Inference(v, 0.2, 30.0) for v in values]
    found = split_random(splits, Inference(float(values.mean()), 0.2 / math.sqrt(5), 30.0))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert found.df == pytest.approx(4)


def test_splits_that_agree_exactly_leave_the_error_of_their_items():
    found = split_random([Inference(0.4, 0.1, 20.0)] * 3, Inference(0.4, 0.1, 20.0))
    assert (found.standard_error, found.df) == (pytest.approx(0.1), pytest.approx(20))


def test_two_splits_say_nothing_of_training():
    for m in (1, 2):
        (found,) = over_splits(ESTIMATES[:m], np.arange(N))
        assert found.training.value == found.checkpoints.value
        assert math.isnan(found.training.standard_error) and math.isnan(found.training.p_value())
        assert found.checkpoints.standard_error > 0


def test_an_undefined_split_leaves_no_statement():
    splits = [Inference(0.1, 0.1, 9.0), Inference(math.nan, math.nan, 9.0), Inference(0.2, 0.1, 9.0)]
    assert math.isnan(split_random(splits, Inference(math.nan, math.nan, 9.0)).standard_error)


def test_a_cell_against_controls_by_hand():
    """Controls 1, 2, 3, 4, 5: mean 3, s = 1.5811, n = 5; a mean over two splits."""
    controls = [1.0, 2.0, 3.0, 4.0, 5.0, math.nan]
    error = math.sqrt(2.5) * math.sqrt(1 / 2 + 1 / 5)
    found = against_controls(7.0, controls, splits=2)
    assert (found.value, found.standard_error, found.df) == (4.0, pytest.approx(error), 4)
    low, high = prediction_interval(controls, splits=2, level=0.9)
    reach = stats.t.ppf(0.95, 4) * error
    assert (low, high) == (pytest.approx(3 - reach), pytest.approx(3 + reach))
    assert against_controls(high, controls, splits=2).p_value() == pytest.approx(0.1)


def test_too_few_controls_say_nothing():
    assert math.isnan(against_controls(0.4, [0.1]).p_value())
    assert math.isnan(against_controls(math.nan, [0.1, 0.2, 0.3]).p_value())
    for controls in ([], [0.1]):
        assert all(math.isnan(each) for each in prediction_interval(controls))


def test_an_estimate_that_reads_no_row_has_no_value():
    """Groups of a benchmark in which nothing could be scored."""
    nothing = st.weighted_mean(np.arange(4.0), np.zeros(4, dtype=bool))
    (found,) = over_splits([nothing, nothing], np.arange(4))
    assert len(found.splits) == 2
    assert np.isnan([found.checkpoints.value, found.checkpoints.standard_error, found.splits[0].value]).all()
