from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairshrink.stats.inference import UNKNOWN, Inference, t_quantile

X = np.random.default_rng(3).normal(0.4, 1, size=23)
FOUND = Inference(float(X.mean()), float(stats.sem(X)), len(X) - 1.0)


def test_mean_and_its_error_give_the_one_sample_t_test():
    oracle = stats.ttest_1samp(X, 0.1)
    assert FOUND.p_value(0.1) == pytest.approx(oracle.pvalue, rel=1e-12)
    np.testing.assert_allclose(FOUND.interval(0.9), tuple(oracle.confidence_interval(0.9)), rtol=1e-12)


def test_p_has_no_floor_and_agrees_with_the_interval():
    assert Inference(80.0, 1.0, 100.0).p_value() == pytest.approx(2 * stats.t.sf(80, 100), rel=1e-9)
    assert 0 < Inference(80.0, 1.0, 100.0).p_value() < 1e-80
    low, _ = FOUND.interval(0.95)
    assert FOUND.p_value(low) == pytest.approx(0.05, rel=1e-9)


def test_infinite_degrees_of_freedom_are_normal():
    assert Inference(1.959963984540054, 1.0, math.inf).p_value() == pytest.approx(0.05, rel=1e-12)
    assert t_quantile(0.975, math.inf) == pytest.approx(1.959963984540054)


def test_without_an_error_nothing_is_said():
    for unknown in (UNKNOWN, Inference(0.3, math.nan, 5.0), Inference(0.3, math.nan, math.nan)):
        assert all(math.isnan(each) for each in unknown.interval())
        assert math.isnan(unknown.p_value()) and math.isnan(unknown.equivalence_p(1))
        assert not unknown.equivalent(1.0)


def test_no_variation_at_all_is_certain_of_its_own_value_only():
    exact = Inference(0.5, 0.0, 9.0)
    assert exact.interval() == (0.5, 0.5)
    assert (exact.p_value(0.5), exact.p_value(0.4)) == (1.0, 0.0)
    assert exact.equivalent(0.6) and not exact.equivalent(0.4)
    assert (exact.equivalence_p(0.6), exact.equivalence_p(0.4)) == (0.0, 1.0)


def test_equivalence_is_two_one_sided_t_tests():
    for margin in (0.2, 0.6, 1.5):
        upper = stats.ttest_1samp(X, margin, alternative="less").pvalue
        lower = stats.ttest_1samp(X, -margin, alternative="greater").pvalue
        assert FOUND.equivalence_p(margin) == pytest.approx(max(upper, lower), rel=1e-10)
        assert FOUND.equivalent(margin) == (max(upper, lower) < 0.05)
        low, high = FOUND.interval(0.9)
        assert FOUND.equivalent(margin) == (-margin < low and high < margin)
    assert FOUND.equivalent(1.5) and not FOUND.equivalent(0.2)


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_a_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="margin"):
        FOUND.equivalent(margin)
    with pytest.raises(ValueError, match="margin"):
        FOUND.equivalence_p(margin)
