"""A metric of damage is in the results, and neither a bias metric nor the task score anywhere."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic_study

from fairshrink.analysis import results, verdicts
from fairshrink.analysis.cells import cells, headlines
from fairshrink.reporting.write import aggregate

DAMAGE = "sentiment_gap"
"""The synthetic metric that is declared one of damage."""


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The tables of one study with a metric of damage, and of the same study without that metric's scores."""
    folder = tmp_path_factory.mktemp("damage")
    spec = synthetic_study.write(folder, splits=2)
    modules = dict(synthetic_study.MODULES)
    modules[DAMAGE] = SimpleNamespace(**(vars(modules[DAMAGE]) | {"KIND": "damage"}))
    without = spec | {"scores": [each for each in spec["scores"] if each["metric"] != DAMAGE]}
    for name, each in (("with", spec), ("without", without)):
        aggregate(synthetic_study.job(each), modules, folder / name, lambda line: None)
    rows = headlines(
        results.build(synthetic_study.job(spec), modules), results.about(synthetic_study.job(spec), modules)
    )
    return folder / "with", folder / "without", rows


@pytest.mark.parametrize("name", ["verdicts.csv", "agreement.csv", "bias_by_sparsity.csv"])
def test_tables_of_bias_are_those_of_a_study_without_it(name, studies):
    here, there = ((folder / "tables" / name).read_bytes() for folder in studies[:2])
    assert here == there and len(there.splitlines()) > 1


def test_figures_of_bias_are_those_of_a_study_without_it(studies):
    figures = sorted(each.name for each in (studies[1] / "figures").glob("*.svg"))
    assert figures == ["minilm_sentiment_bias_by_sparsity.svg", "minilm_sentiment_bias_by_task_score.svg"]
    for name in figures:
        assert (studies[0] / "figures" / name).read_bytes() == (studies[1] / "figures" / name).read_bytes()


def test_results_hold_it_with_intervals_and_a_baseline_but_no_p_value(studies):
    table = pd.read_parquet(studies[0] / "tables" / "results.parquet")
    mine, others = table[table["metric"] == DAMAGE], table[table["metric"] != DAMAGE]
    assert len(mine) == mine["key"].nunique() == table["key"].nunique()
    assert mine["p_value"].isna().all()
    assert mine[["value", "ci_low", "ci_high", "baseline_value", "random_value"]].notna().all(axis=None)
    tested = others[(others["method"] != "none") & (others["statistic"] != "tied")]
    assert tested["p_value"].notna().mean() > 0.9
    plain = pd.read_parquet(studies[1] / "tables" / "results.parquet")
    pd.testing.assert_frame_equal(others.reset_index(drop=True), plain)


def test_overview_shows_it_after_the_task_score_without_a_verdict(studies):
    numbers = pd.read_csv(studies[0] / "tables" / "overview_sentiment.csv", keep_default_na=False)
    shown = [each for each in numbers if each in ("task_score", DAMAGE, "stereotypes")]
    assert shown == ["task_score", DAMAGE, "stereotypes"]
    assert set(numbers[f"{DAMAGE}_verdict"]) == {""}
    assert set(numbers["stereotypes_verdict"]) > {""}


def test_headline_numbers_hold_it_without_a_tally_of_changes(studies):
    found = json.loads((studies[0] / "tables" / "headline.json").read_text())["sentiment"]["minilm"]
    assert set(found[DAMAGE]) == {"baseline", "largest_change", "largest_change_by"}
    assert {"real_changes", "changes_with_loss_of_skill"} <= set(found["stereotypes"])


def test_it_does_not_stand_for_skill(studies):
    rows = studies[2]
    assert verdicts.task_metric(rows["metric"], rows["kind"]) == "task_score"
    without = rows[rows["metric"] != "task_score"]
    assert verdicts.task_metric(without["metric"], without["kind"]) is None
    summary = cells(without)
    assert set(summary["kind"]) == {"damage", "intrinsic"}
    judged = verdicts.verdicts(summary)
    assert set(judged["metric"]) == {"stereotypes"} and np.isnan(judged["task_score"].astype(float)).all()


def test_a_cell_lists_skill_then_damage_then_bias(studies):
    for _, group in cells(studies[2]).groupby(["method", "setting"], sort=False):
        assert list(group["metric"]) == ["task_score", DAMAGE, "stereotypes"]
