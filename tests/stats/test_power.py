from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from fairshrink.stats.inference import Inference
from fairshrink.stats.power import clusters_needed, controls_needed, detectable, detectable_change, splits_needed


def power(change, error, df, level=0.95):
    """Of a two-sided t-test: the chance over the estimate, averaged over what its estimated error may be."""
    critical, shift = stats.t.ppf((1 + level) / 2, df), change / error

    def found(share):
        reach = critical * math.sqrt(stats.chi2.ppf(share, df) / df)
        return stats.norm.sf(reach - shift) + stats.norm.cdf(-reach - shift)

    return integrate.quad(found, 0, 1, limit=200)[0]


@pytest.mark.parametrize("df", [1, 2, 5, 19, 400])
@pytest.mark.parametrize(("wanted", "level"), [(0.8, 0.95), (0.9, 0.9)])
def test_the_detectable_change_is_found_as_often_as_asked(df, wanted, level):
    change = detectable(0.3, df, wanted, level)
    assert power(change, 0.3, df, level) == pytest.approx(wanted, abs=1e-3)
    assert detectable_change(Inference(5.0, 0.3, df), wanted, level) == change


def test_with_many_degrees_of_freedom_it_is_2_80_errors():
    assert detectable(1.0, math.inf) == pytest.approx(1.959964 + 0.841621, abs=1e-4)


def test_without_an_error_nothing_is_said():
    assert (
        math.isnan(detectable(math.nan, 5)) and math.isnan(detectable(0.3, math.nan)) and math.isnan(detectable(0.3, 0))
    )
    assert math.isnan(clusters_needed(math.nan, 10, 0.1))
    assert math.isnan(splits_needed(math.nan, 0.0, 9, 0.1))
    assert math.isnan(controls_needed(math.nan, 1, 0.1))
    assert detectable(0.0, 5) == 0.0


@pytest.mark.parametrize("margin", [0.1, 0.3, 1.0])
def test_clusters_needed_is_the_first_number_that_resolves(margin):
    found = clusters_needed(0.15, 20, margin)
    error = 0.15 * math.sqrt(20)
    assert power(margin, error / math.sqrt(found), found - 1) >= 0.8 - 1e-4
    assert power(margin, error / math.sqrt(found - 1), found - 2) < 0.8


def test_splits_that_cannot_resolve():
    """Items shared by all splits leave an error that no number of splits reduces."""
    assert splits_needed(0.1, 0.05**2, 60.0, 0.05) == math.inf
    found = splits_needed(0.1, 0.01**2, 60.0, 0.05)
    assert 3 <= found < math.inf
    alone = splits_needed(0.1, 0.0, 60.0, 0.05)
    assert alone == clusters_needed(0.1, 1, 0.05) < found


def test_controls_that_cannot_resolve():
    assert controls_needed(0.02, 1, 0.05) == math.inf
    found = controls_needed(0.02, 3, 0.05)
    assert detectable(0.02 * math.sqrt(1 / 3 + 1 / found), found - 1) <= 0.05
    assert detectable(0.02 * math.sqrt(1 / 3 + 1 / (found - 1)), found - 2) > 0.05


def test_controls_at_the_end_of_a_ladder_count_less():
    """Predicting from a line costs leverage and degrees of freedom: more seeds are needed than for a mean."""
    line = {"leverage": 3.5, "fitted": 3, "df_of_one": 0.4}
    found = controls_needed(0.02, 3, 0.05, **line)
    assert found > controls_needed(0.02, 3, 0.05)
    assert detectable(0.02 * math.sqrt(1 / 3 + 3.5 / found), 0.4 * (found - 3)) <= 0.05
    assert detectable(0.02 * math.sqrt(1 / 3 + 3.5 / (found - 1)), 0.4 * (found - 4)) > 0.05


def test_controls_that_give_hardly_any_degrees_of_freedom_are_counted_all_the_same():
    found = controls_needed(0.02, 3, 0.05, leverage=12.0, fitted=3, df_of_one=0.01)
    assert detectable(0.02 * math.sqrt(1 / 3 + 12.0 / found), 0.01 * (found - 3)) <= 0.05
    assert found > 103  # one degree of freedom
    assert detectable(1.0, 0.05) == math.inf and 1e3 < detectable(1.0, 0.3) < math.inf


def test_a_margin_must_be_positive():
    for call in (
        lambda: clusters_needed(0.1, 20, 0.0),
        lambda: splits_needed(0.1, 0.0, 9.0, -1.0),
        lambda: controls_needed(0.1, 1, 0.0),
    ):
        with pytest.raises(ValueError, match="margin"):
            call()


def test_more_items_detect_less():
    assert np.all(np.diff([detectable(1 / math.sqrt(n), n - 1) for n in range(3, 60)]) < 0)
