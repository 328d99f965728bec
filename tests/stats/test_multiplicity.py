from __future__ import annotations

import numpy as np
import pytest

from fairshrink.stats.estimates import adjust
from fairshrink.stats.multiplicity import benjamini_hochberg


def slow(p):
    """The smallest level at which the step-up procedure rejects each test."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    return [min([1.0, *(p[order[k]] * len(p) / (k + 1) for k in range(order.index(i), len(p)))]) for i in range(len(p))]


def test_equals_the_step_up_procedure():
    for seed in range(20):
        p = np.random.default_rng(seed).random(13) ** 2
        np.testing.assert_allclose(benjamini_hochberg(p), slow(p), rtol=1e-12)


def test_nan_is_not_a_test():
    p = np.random.default_rng(1).random(12)
    p[[2, 7]] = np.nan
    adjusted = benjamini_hochberg(p)
    assert np.isnan(adjusted[[2, 7]]).all()
    np.testing.assert_allclose(adjusted[~np.isnan(p)], slow(p[~np.isnan(p)]))
    np.testing.assert_allclose(adjusted, adjust(p), rtol=1e-12)
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()
    assert benjamini_hochberg([]).shape == (0,)


def test_there_is_no_floor():
    np.testing.assert_allclose(benjamini_hochberg([1e-120, 0.0, 0.5]), [1.5e-120, 0.0, 0.5])


def test_what_is_no_p_value_is_an_error():
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([0.2, 1.2])
