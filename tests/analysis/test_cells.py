"""The table of cells of a study whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from scipy import stats
from synthetic_study import CELLS, CONTROLS, MODULES, Cell

from fairshrink.analysis import results, results_file
from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.cells import cells
from fairshrink.stats.signals import Margin


def table(spec: dict, **more) -> pd.DataFrame:
    job = synthetic_study.job(spec)
    return cells(results.build(job, MODULES)[1], job.level, ledgers=results.ledgers(job), **more)


def cell(found: pd.DataFrame, method: str, metric: str, setting: str = "") -> pd.Series:
    rows = found[(found["method"] == method) & (found["metric"] == metric) & (found["setting"] == setting)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return synthetic_study.write(tmp_path_factory.mktemp("study"), splits=3)


@pytest.fixture(scope="module")
def found(spec):
    return table(spec)


def items(spec: dict, key: str, metric: str) -> pd.DataFrame:
    (path,) = [each.path for each in spec["scores"] if (each.checkpoint, each.metric) == (key, metric)]
    return pd.read_parquet(path)


def test_columns_and_rows(found, spec):
    assert list(found.columns) == results_file.CELLS.names
    assert len(found) == (1 + len(CELLS)) * len(MODULES)
    assert (found["n_splits"] == 3).all()
    assert found["bytes"].eq(4000).all()


def test_values_are_means_over_splits(found, spec):
    for metric in ("sentiment_gap", "stereotypes"):
        gaps = [items(spec, f"minilm-sentiment-{split}-int8_dynamic", metric)["gap"] for split in range(3)]
        expected = np.mean([gap.mean() if metric == "sentiment_gap" else 100 * (gap > 0).mean() for gap in gaps])
        assert cell(found, "int8_dynamic", metric)["value"] == pytest.approx(expected)


def test_item_error_of_a_mean_over_splits_counts_shared_items_once(found, spec):
    """The mean over splits of an item's gap is one number per item: its clusters are left out in turn."""
    gaps = [items(spec, f"minilm-sentiment-{split}", "sentiment_gap") for split in range(3)]
    mean = np.mean([each["gap"] for each in gaps], axis=0)
    clusters = gaps[0]["cluster"].to_numpy()
    names = sorted(set(clusters))
    left = np.array([mean[clusters != name].mean() for name in names])
    error = np.sqrt((len(names) - 1) / len(names) * np.sum((left - left.mean()) ** 2))
    reach = stats.t.ppf(0.975, len(names) - 1) * error
    baseline = cell(found, "none", "sentiment_gap")
    assert (baseline["low"], baseline["high"]) == pytest.approx((mean.mean() - reach, mean.mean() + reach))


def test_influence_of_a_baseline_is_the_largest_change_without_one_cluster(found, spec):
    largest = 0.0
    for split in range(3):
        gaps = items(spec, f"minilm-sentiment-{split}", "sentiment_gap")
        for name in set(gaps["cluster"]):
            without = gaps.loc[gaps["cluster"] != name, "gap"].mean()
            largest = max(largest, abs(without - gaps["gap"].mean()))
    assert cell(found, "none", "sentiment_gap")["influence"] == pytest.approx(largest)
    assert np.isnan(cell(found, "int8_dynamic", "sentiment_gap")["influence"])


def test_change_is_null_and_residual(found):
    bias = found[found["residual"].notna()]
    assert len(bias) == 2 * len(CELLS)
    np.testing.assert_allclose(bias["change"], bias["explained"] + bias["residual"], atol=1e-9)
    np.testing.assert_allclose(bias["value"], bias["null"] + bias["residual"], atol=1e-9)
    np.testing.assert_allclose(bias["value"], bias["baseline"] + bias["change"], atol=1e-9)
    for name in ("change", "residual", "null", "kept"):
        assert ((bias[f"{name}_low"] <= bias[name]) & (bias[name] <= bias[f"{name}_high"])).all()


def test_verdicts_are_those_of_the_truth(found):
    for metric in ("sentiment_gap", "stereotypes"):
        assert cell(found, "head_pruning", metric, "sparsity=0.25")["verdict"] == kinds.LESS_BIASED
        assert cell(found, "int8_dynamic", metric)["verdict"] == kinds.UNCHANGED
        assert cell(found, "magnitude_global", metric, "sparsity=0.8")["verdict"] == kinds.ONLY_RANDOM
        assert cell(found, "random_init", metric)["verdict"] == kinds.NOT_MEASURABLE
    changed = found[found["verdict"].isin([*kinds.CHANGED, kinds.AS_DAMAGE, kinds.UNCONTROLLED])]
    assert set(changed["method"]) == {"head_pruning"}


def test_without_controls_a_change_is_not_controlled(tmp_path):
    without = [each for each in CELLS if each not in CONTROLS]
    found = table(synthetic_study.write(tmp_path, splits=1, cells=without))
    assert cell(found, "head_pruning", "sentiment_gap", "sparsity=0.25")["verdict"] == kinds.UNCONTROLLED
    assert found["n_controls"].fillna(0).eq(0).all()


def test_controls_lend_no_significance(tmp_path, found):
    """Compressions' adjusted p-values are those of Benjamini and Hochberg among themselves."""
    bias = found[found["residual"].notna() & ~found["control"]]
    expected = stats.false_discovery_control(bias["residual_p"].to_numpy(float), method="bh")
    np.testing.assert_allclose(bias["residual_p_adjusted"].to_numpy(float), expected)


def test_margins_of_the_study_and_of_labels(spec):
    wide = table(spec, margins={"sentiment_gap": Margin(1.0)})
    assert cell(wide, "head_pruning", "sentiment_gap", "sparsity=0.25")["verdict"] == kinds.UNCHANGED
    labels = items(spec, "minilm-sentiment-0", "task_score")["label"]
    by_labels = table(spec, margins={"sentiment_gap": Margin(of_labels=0.02)})
    assert cell(by_labels, "int8_dynamic", "sentiment_gap")["margin"] == pytest.approx(0.02 * labels.std())


def test_a_metric_that_failed_is_not_measurable(spec):
    failed = table(spec, validity={("minilm", "sentiment", "stereotypes"): "failed"})
    assert cell(failed, "int8_dynamic", "stereotypes")["verdict"] == kinds.NOT_MEASURABLE
    assert cell(failed, "int8_dynamic", "stereotypes")["validity"] == "failed"
    assert cell(failed, "int8_dynamic", "sentiment_gap")["verdict"] == kinds.UNCHANGED


def test_nan_outputs_are_not_measurable(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        if score.checkpoint.endswith("int8_dynamic") and score.metric in ("sentiment_gap", "stereotypes"):
            frame = pd.read_parquet(score.path)
            frame.loc[3, ["gap", "neutral"]] = np.nan
            frame.to_parquet(score.path)
    found = table(spec)
    assert cell(found, "int8_dynamic", "sentiment_gap")["verdict"] == kinds.NOT_MEASURABLE


def test_constant_predictions_are_not_measurable(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        if score.checkpoint.endswith("int8_dynamic") and score.metric == "task_score":
            pd.read_parquet(score.path).assign(prediction=0.3).to_parquet(score.path)
    found = table(spec)
    assert pd.isna(cell(found, "int8_dynamic", "sentiment_gap")["task_score"])
    assert cell(found, "int8_dynamic", "sentiment_gap")["verdict"] == kinds.NOT_MEASURABLE


def test_a_baseline_that_learned_nothing_is_not_measurable(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    draw = np.random.default_rng(0)
    for score in spec["scores"]:
        if score.metric == "task_score":
            frame = pd.read_parquet(score.path)
            frame.assign(prediction=draw.normal(size=len(frame))).to_parquet(score.path)
    found = table(spec)
    bias = found[found["verdict"].notna()]
    assert set(bias["verdict"]) == {kinds.NOT_MEASURABLE}
    assert bias["reason"].str.contains("baseline's own task score").all()


def test_splits_with_items_of_their_own_are_joined(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=2)
    for score in spec["scores"]:
        if score.metric == "task_score" and "-1" in score.checkpoint:
            frame = pd.read_parquet(score.path)
            frame[["item", "cluster"]] = "other/" + frame[["item", "cluster"]]
            frame.to_parquet(score.path)
    found = cell(table(spec), "none", "task_score")
    one, two = (items(spec, f"minilm-sentiment-{split}", "task_score") for split in range(2))
    r = [stats.pearsonr(each["label"], each["prediction"])[0] for each in (one, two)]
    assert found["value"] == pytest.approx(np.mean(r))


def test_cells_do_not_depend_on_the_order_of_the_job(spec, found):
    shuffled = spec | {"scores": spec["scores"][::-1], "checkpoints": spec["checkpoints"][::-1]}
    pd.testing.assert_frame_equal(table(shuffled), found)


def test_three_splits_say_something_about_training_and_two_do_not(tmp_path, found):
    assert found.loc[found["metric"] == "sentiment_gap", "training_low"].notna().all()
    two = table(synthetic_study.write(tmp_path, splits=2, cells=[Cell("int8_dynamic", "quantization")]))
    assert two["training_low"].isna().all()


def test_a_headline_that_is_not_given_is_an_error(spec):
    changed = SimpleNamespace(**(vars(MODULES["sentiment_gap"]) | {"HEADLINE": ("mean_gap", "race")}))
    with pytest.raises(ValueError, match=r"metric sentiment_gap: its headline \('mean_gap', 'race'\)"):
        results.build(synthetic_study.job(spec), MODULES | {"sentiment_gap": changed})
