"""Agreement of metrics, flips of items, and the alarm for metrics that are task performance."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic_cells
from scipy import stats

from fairshrink.analysis import agreement, degeneracy, flips
from fairshrink.stats.inference import Inference
from fairshrink.stats.reflection import mean
from fairshrink.stats.signals import Contrast, Signal


def changed(metric: str, cells: list[tuple[str, float, float]], family: str = "unstructured") -> list[SimpleNamespace]:
    """Headlines with a change and its error."""
    made = []
    for setting, value, error in cells:
        who = SimpleNamespace(model="m", task="t", method="x", setting=setting, method_family=family)
        over = SimpleNamespace(checkpoints=Inference(value, error, 100.0))
        made.append(
            SimpleNamespace(
                identity=who, change=over, parts=None, module=SimpleNamespace(KIND="extrinsic"), metric=metric
            )
        )
    return made


def compared(*groups: list[SimpleNamespace]) -> pd.DataFrame:
    everything = [each for group in groups for each in group]
    return agreement.agreement(everything, {id(each): each.metric for each in everything}, 0.95)


def values(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_correlation_of_changes_with_its_reliability():
    x = values(12, 0)
    y = x + 0.2 * values(12, 1)
    names = [f"s={i}" for i in range(12)]
    one = changed("a", list(zip(names, x, [0.1] * 12, strict=True)))
    other = changed("b", list(zip(names, y, [0.1] * 12, strict=True)))
    found = compared(one, other).iloc[0]
    assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found["reliability_first"] == pytest.approx(1 - 0.01 / np.var(x, ddof=1))
    assert found["statement"] == "they rank the compressions alike"
    assert found["ci_low"] > 0


def test_noise_alone_does_not_disagree():
    """Where changes differ by no more than their errors, nothing is said about agreement."""
    names = [f"s={i}" for i in range(12)]
    one = changed("a", list(zip(names, values(12, 2), [1.2] * 12, strict=True)))
    other = changed("b", list(zip(names, values(12, 3), [0.01] * 12, strict=True)))
    assert compared(one, other).iloc[0]["statement"] == "not reliable enough to say whether they agree"


def test_few_compressions_and_controls():
    names = [f"s={i}" for i in range(6)]
    one = changed("a", list(zip(names, values(6, 4), [0.01] * 6, strict=True)))
    other = changed("b", list(zip(names, values(6, 5), [0.01] * 6, strict=True)))
    found = compared(one, other).iloc[0]
    assert "too few compressions" in found["statement"] and np.isnan(found["ci_low"])
    controls = changed("a", [(f"c={i}", 9.0 * i, 0.1) for i in range(9)], "controls")
    pd.testing.assert_frame_equal(compared(one, other, controls), compared(one, other))


def signal(values_: np.ndarray, neutral: np.ndarray) -> Signal:
    return Signal(values_, mean(np.ones(len(values_))), (Contrast("neutral", neutral),))


def test_flips_by_hand():
    before = signal(np.array([1.0, -1.0, 2.0, -2.0, np.nan]), np.array([1.0, 1.0, 1.0, 1.0, 1.0]))
    after = signal(np.array([-1.0, -0.5, 1.0, 0.0, np.nan]), np.array([1.0, 1.0, 1.0, 1.0, 1.0]))
    found = flips.flips(before, after)
    # The first went from above to below; 0 is not above, so the fourth did not move.
    assert (found.n_items, found.toward, found.away, found.mcnemar_p) == (4, 0.0, 0.25, 1.0)


def test_expected_flips_of_noise_are_those_observed():
    draw = np.random.default_rng(6)
    s_b, neutral = draw.normal(size=4000), draw.normal(size=4000)
    s_c = 0.6 * s_b + 0.5 * draw.normal(size=4000)
    found = flips.flips(signal(s_b, neutral), signal(s_c, 0.6 * neutral))
    assert found.toward + found.away == pytest.approx(found.expected, abs=0.015)
    assert found.expected > 0.1
    shifted = flips.flips(signal(s_b, neutral), signal(s_c - 0.5, 0.6 * neutral))
    assert shifted.away > 2 * shifted.toward and shifted.mcnemar_p < 1e-6
    assert found.mcnemar_p == pytest.approx(
        stats.binomtest(round(found.toward * 4000), round((found.toward + found.away) * 4000)).pvalue
    )


def test_table_of_flips_leaves_controls_out_and_names_the_noise_floor():
    one = flips.Flips(100, 0.1, 0.3, 0.25, 0.01)
    rows = [
        (("m", "t", "none", ""), "a", "baseline", [one]),
        (("m", "t", "x", "s=1"), "a", "unstructured", [one, flips.Flips(100, 0.2, 0.2, 0.35, 0.5)]),
        (("m", "t", "noise_floor", ""), "a", "controls", [flips.Flips(100, 0.01, 0.0, 0.0, 1.0)]),
    ]
    found = flips.table(rows)
    assert list(found.columns) == flips.COLUMNS and len(found) == 1
    first = found.iloc[0]
    assert (first["flipped"], first["expected"], first["numeric"]) == pytest.approx((0.4, 0.3, 0.01))
    assert (first["toward"], first["away"], first["mcnemar_p"]) == pytest.approx((0.15, 0.25, 0.5))


def test_a_function_of_task_performance_raises_the_alarm():
    cells = synthetic_cells.cells()
    of_gap = cells["metric"] == "sentiment_gap"
    cells.loc[of_gap, "value"] = 1 - 0.4 * cells.loc[of_gap, "task_score"]
    found = degeneracy.degeneracy(cells).set_index(["task", "metric"])
    assert found.loc[("sentiment", "sentiment_gap"), "alarm"]
    assert found.loc[("sentiment", "sentiment_gap"), "correlation"] == pytest.approx(-1)
    cells.loc[of_gap, "value"] = np.random.default_rng(0).normal(size=of_gap.sum())
    assert not degeneracy.degeneracy(cells).set_index(["task", "metric"]).loc[("sentiment", "sentiment_gap"), "alarm"]


def test_flips_of_unknown_scores_are_unknown():
    known = signal(np.array([1.0, -1.0, 2.0]), np.ones(3))
    found = flips.flips(known, signal(np.array([1.0, np.nan, -2.0]), np.ones(3)))
    assert found.n_items == 3 and np.isnan([found.flipped, found.expected, found.mcnemar_p]).all()
