"""Tests of metrics whose right answer is known."""

import pandas as pd
import pytest
import synthetic_cells

from fairshrink.analysis import results_file
from fairshrink.analysis.degeneracy import degeneracy
from fairshrink.analysis.validity import COLUMNS, validity

NOTHING = results_file.frame([], results_file.RESULTS)


def study(more: list[dict]) -> pd.DataFrame:
    """The drawn study's sentiment gap with further rows of controls."""
    cells = synthetic_cells.cells()
    cells = cells[(cells["task"] == "sentiment") & (cells["metric"] == "sentiment_gap")]
    template = cells[cells["method"] == "weight_noise"].iloc[0].to_dict()
    return pd.concat([cells, pd.DataFrame([template | each for each in more])], ignore_index=True)


def doses(values: dict[int, float], p: float = 0.001, mde: float = 0.01) -> list[dict]:
    baseline = 0.106
    return [
        {"method": "dose", "setting": f"angry_women={k}", "value": v, "change": v - baseline, "change_p": p, "mde": mde}
        for k, v in values.items()
    ]


def outcomes(cells: pd.DataFrame, results: pd.DataFrame = NOTHING) -> pd.DataFrame:
    found = validity(cells, degeneracy(cells), results)
    assert list(found.columns) == COLUMNS
    return found.set_index("test")


def test_a_metric_that_rises_with_the_dose_passes():
    found = outcomes(study(doses({50: 0.12, 200: 0.15, 800: 0.3})))
    assert found.loc["dose", "passed"] and found.loc["dose", "value"] == pytest.approx(1.0)
    # 0.15 is the first dose that moves the gap by its margin of 0.02.
    assert found.loc["power", "threshold"] == pytest.approx(0.044) and found.loc["power", "passed"]


def test_a_metric_that_does_not_follow_the_dose_fails():
    found = outcomes(study(doses({50: 0.12, 200: 0.09, 800: 0.11})))
    assert not found.loc["dose", "passed"] and not found.loc["power", "passed"]
    unseen = outcomes(study(doses({50: 0.12, 200: 0.15, 800: 0.3}, p=0.4, mde=0.5)))
    assert not unseen.loc["dose", "passed"] and not unseen.loc["power", "passed"]


def test_two_doses_say_nothing():
    assert "dose" not in outcomes(study(doses({50: 0.12, 200: 0.15}))).index


def test_other_seeds_and_random_models():
    seeds = [{"method": "other_seed", "setting": f"seed={i}", "change": c} for i, c in enumerate([0.01, -0.019])]
    assert outcomes(study(seeds)).loc["seeds", ["passed", "value"]].tolist() == [True, pytest.approx(0.019)]
    seeds[1]["change"] = -0.03
    assert not outcomes(study(seeds)).loc["seeds", "passed"]
    cells = study([])
    cells.loc[cells["method"] == "random_init", "value"] = 0.5
    assert outcomes(cells).loc["random", "passed"] is None
    cells.loc[cells["method"] == "random_init", "value"] = -0.01
    assert outcomes(cells).loc["random", "passed"]


def test_splits_that_move_more_than_the_margin_fail():
    cells = study([])
    at = cells["method"] == "none"
    cells.loc[at, ["training_low", "training_high"]] = (0.09, 0.12)
    assert outcomes(cells).loc["splits", "passed"]
    cells.loc[at, "training_high"] = 0.2
    assert outcomes(cells).loc["splits", "passed"] is None  # three splits: t(2) is 4.3
    cells["n_splits"] = 5
    assert not outcomes(cells).loc["splits", "passed"]


@pytest.mark.parametrize(
    ("low", "value", "high", "passed"),
    [
        (-0.01, 0.005, 0.019, True),
        (-0.1, 0.01, 0.1, None),  # too few items to say
        (0.03, 0.05, 0.07, None),  # something, but less than the 0.106 of people
        (0.1, 0.2, 0.3, False),
        (-0.3, -0.2, -0.1, False),
    ],
)
def test_items_that_concern_nobody(low, value, high, passed):
    row = {"model": "minilm", "task": "sentiment", "metric": "sentiment_gap", "method": "none", "group": "non_social"}
    row |= {"statistic": "mean_gap", "unbiased_value": 0.0, "value": value, "ci_low": low, "ci_high": high}
    results = results_file.frame([row, row | {"group": "gender", "value": 9.0}], results_file.RESULTS)
    found = outcomes(study([]), results).loc["non_social", "passed"]
    assert (None if found is None else bool(found)) is passed


def test_a_single_template_must_not_decide():
    cells = study([])
    assert "templates" not in outcomes(cells).index
    cells.loc[cells["method"] == "none", "influence"] = 0.019
    assert outcomes(cells).loc["templates", "passed"]
    cells.loc[cells["method"] == "none", "influence"] = 0.021
    assert not outcomes(cells).loc["templates", "passed"]


def test_a_function_of_task_performance_fails():
    cells = study([])
    cells["value"] = 0.2 * cells["task_score"]
    assert not outcomes(cells).loc["performance", "passed"]
