from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from scipy import stats

from fairshrink.analysis import results, results_file
from fairshrink.errors import UserError

COLUMNS = [
    *("model", "family", "task", "split", "seed", "method", "setting", "sparsity", "metric", "dataset", "group"),
    *("statistic", "value", "ci_low", "ci_high", "n_items", "unbiased_value", "random_value", "p_value"),
    *("baseline_value", "change_low", "change_high", "mde", "damage", "signal_kept", "null_value", "null_low"),
    *("null_high", "residual", "residual_low", "residual_high", "residual_p", "key"),
    *("params", "zero_fraction_prunable", "zero_fraction_total", "effective_bits", "bytes", "flops_per_token"),
    "cache_bytes_per_token",
]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return synthetic_study.write(tmp_path_factory.mktemp("study"), splits=2)


@pytest.fixture
def table(spec):
    return synthetic_study.build(spec)


def row(table: pd.DataFrame, **where) -> pd.Series:
    found = table[np.logical_and.reduce([table[name] == value for name, value in where.items()])]
    assert len(found) == 1
    return found.iloc[0]


def scores(spec: dict, checkpoint: str, metric: str) -> pd.DataFrame:
    (path,) = [each.path for each in spec["scores"] if (each.checkpoint, each.metric) == (checkpoint, metric)]
    return pd.read_parquet(path)


def test_columns_are_those_of_the_contract(table, spec):
    assert list(table.columns) == COLUMNS
    assert len(table) == len(spec["checkpoints"]) * 9
    order = ["model", "task", "split", "seed", "method", "sparsity", "setting", "key", "metric", "dataset", "group"]
    pd.testing.assert_frame_equal(table, table.sort_values([*order, "statistic"], ignore_index=True))
    text = ["model", "family", "task", "method", "setting", "metric", "dataset", "group", "statistic", "key"]
    whole = ["split", "seed", "n_items", "params", "bytes", "cache_bytes_per_token"]
    for name in COLUMNS:
        expected = "str" if name in text else "Int64" if name in whole else "float64"
        assert str(table[name].dtype) == expected, name


def test_every_mean_can_be_recomputed_with_three_lines_of_pandas(table, spec):
    for _, each in table[(table["statistic"] == "share") & (table["group"] != "all")].iterrows():
        items = scores(spec, each["key"], "stereotypes")
        by_group = items.groupby("group")["gap"].apply(lambda gap: 100 * (gap > 0).mean())
        assert each["value"] == pytest.approx(by_group[each["group"]])
        assert each["n_items"] == (items["group"] == each["group"]).sum()


def leaving_out_clusters(items: pd.DataFrame, value) -> tuple[float, float, int]:
    """A value, its error by leaving out one cluster after the other, and the degrees of freedom: one plain loop."""
    names = sorted(set(items["cluster"]))
    left = np.array([value(items[items["cluster"] != name]) for name in names])
    g = len(names)
    return value(items), float(np.sqrt((g - 1) / g * np.sum((left - left.mean()) ** 2))), g - 1


def test_interval_and_p_are_those_of_leaving_out_clusters(table, spec):
    key, base = "minilm-sentiment-1-magnitude_global-sparsity=0.4", "minilm-sentiment-1"
    mine, other = scores(spec, key, "task_score"), scores(spec, base, "task_score")
    both = mine.assign(other=other["prediction"])
    value, error, df = leaving_out_clusters(mine, lambda x: stats.pearsonr(x["label"], x["prediction"])[0])
    reach = stats.t.ppf(0.975, df) * error
    found = row(table, key=key, metric="task_score")
    assert found["value"] == pytest.approx(value)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((value - reach, value + reach))
    change, error, df = leaving_out_clusters(
        both,
        lambda x: stats.pearsonr(x["label"], x["prediction"])[0] - stats.pearsonr(x["label"], x["other"])[0],
    )
    reach = stats.t.ppf(0.975, df) * error
    assert (found["change_low"], found["change_high"]) == pytest.approx((change - reach, change + reach))
    assert found["p_value"] == pytest.approx(2 * stats.t.sf(abs(change) / error, df))
    assert found["baseline_value"] == pytest.approx(stats.pearsonr(other["label"], other["prediction"])[0])


def test_a_share_has_an_interval_inside_its_range(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        if score.metric == "stereotypes" and score.checkpoint.endswith("int8_dynamic"):
            items = pd.read_parquet(score.path)
            items.assign(gap=np.where(items["group"] == "race", 1.0, -1.0)).to_parquet(score.path)
    table = synthetic_study.build(spec)
    for group, share in (("race", 100.0), ("gender", 0.0)):
        found = row(table, key="minilm-sentiment-0-int8_dynamic", statistic="share", group=group)
        assert found["value"] == share
        assert 0 <= found["ci_low"] < found["ci_high"] <= 100


def test_parts_of_a_change_are_in_the_rows_of_headlines(table, spec):
    key, base = "minilm-sentiment-0-magnitude_global-sparsity=0.8", "minilm-sentiment-0"
    mine, other = scores(spec, key, "sentiment_gap"), scores(spec, base, "sentiment_gap")
    slope = np.polyfit(other["neutral"], mine["neutral"], 1)[0]
    found = row(table, key=key, statistic="mean_gap")
    assert found["signal_kept"] == pytest.approx(slope)
    assert found["null_value"] == pytest.approx(slope * other["gap"].mean())
    assert found["residual"] == pytest.approx(mine["gap"].mean() - slope * other["gap"].mean())
    assert found["residual_low"] < found["residual"] < found["residual_high"]
    others = table[(table["statistic"] != "mean_gap") & ~((table["statistic"] == "share") & (table["group"] == "all"))]
    assert others[["signal_kept", "null_value", "residual", "residual_p"]].isna().all(axis=None)


def test_every_row_has_the_damage_of_its_checkpoint(table):
    for _, rows in table.groupby("key"):
        (damage,) = rows.loc[rows["statistic"] == "damage", "value"]
        assert (rows["damage"] == damage).all()


def test_baselines_and_counts_have_no_p(table):
    assert table.loc[table["method"] == "none", "p_value"].isna().all()
    counts = table[table["statistic"] == "tied"]
    assert counts["p_value"].isna().all()
    assert (counts["ci_low"] == counts["value"]).all() and (counts["ci_high"] == counts["value"]).all()


def test_a_copy_of_the_baseline_does_not_differ_from_it(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        if score.checkpoint.endswith("int8_dynamic"):
            Path(score.path).write_bytes(Path(score.path.replace("-int8_dynamic", "")).read_bytes())
    table = synthetic_study.build(spec)
    undamaged = ~table["statistic"].isin(["tied", "damage", "mean_kl"])
    same = table[(table["method"] == "int8_dynamic") & undamaged]
    assert len(same) and (same["p_value"] == 1.0).all()


def test_random_value_is_theory_or_the_control_of_the_same_split(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=2)
    for split in (0, 1):
        path = tmp_path / f"scores/minilm-sentiment-{split}-random_init/sentiment_gap-abc.parquet"
        pd.read_parquet(path).assign(gap=0.1 + split).to_parquet(path)
    table = synthetic_study.build(spec)
    for split in (0, 1):
        key = f"minilm-sentiment-{split}"
        control = row(table, key=f"{key}-random_init", statistic="mean_gap")["value"]
        assert row(table, key=key, statistic="mean_gap")["random_value"] == control == 0.1 + split
    assert (table.loc[table["statistic"] == "share", "random_value"] == 50).all()
    assert table.loc[table["statistic"] == "tied", ["random_value", "unbiased_value"]].isna().all(axis=None)


def test_without_theory_and_control_the_random_value_is_unknown(spec):
    kept = [each for each in spec["checkpoints"] if each.identity.method != "random_init"]
    keys = {each.key for each in kept}
    fewer = spec | {"checkpoints": kept, "scores": [each for each in spec["scores"] if each.checkpoint in keys]}
    table = synthetic_study.build(fewer)
    assert table.loc[table["statistic"] == "mean_gap", "random_value"].isna().all()


def test_bytes_do_not_depend_on_the_run_or_on_the_order_of_the_spec(spec, tmp_path):
    shuffled = dict(spec)
    for part in ("checkpoints", "scores"):
        shuffled[part] = random.Random(1).sample(spec[part], len(spec[part]))
    written = []
    for i, each in enumerate((spec, spec, shuffled)):
        results_file.write(
            synthetic_study.build(each),
            results_file.RESULTS,
            tmp_path / f"{i}.parquet",
            results.about(synthetic_study.job(each), synthetic_study.MODULES),
        )
        results_file.write(
            results.measurements(synthetic_study.job(each)), results_file.MEASUREMENTS, tmp_path / f"m{i}.parquet"
        )
        written.append((tmp_path / f"{i}.parquet").read_bytes() + (tmp_path / f"m{i}.parquet").read_bytes())
    assert written[0] == written[1] == written[2]


def test_reading_returns_what_was_written(table, spec, tmp_path):
    results_file.write(
        table,
        results_file.RESULTS,
        tmp_path / "r.parquet",
        results.about(synthetic_study.job(spec), synthetic_study.MODULES),
    )
    again, about = results_file.read(tmp_path / "r.parquet")
    pd.testing.assert_frame_equal(again, table)
    assert about["metrics"]["stereotypes"]["kind"] == "intrinsic"
    assert about["methods"]["random_init"] == "controls"
    assert list(pd.read_parquet(tmp_path / "r.parquet").columns) == COLUMNS


def test_order_of_items_on_disk_does_not_matter(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    before = synthetic_study.build(spec)
    for score in spec["scores"][::2]:
        pd.read_parquet(score.path).sample(frac=1, random_state=3).to_parquet(score.path)
    pd.testing.assert_frame_equal(synthetic_study.build(spec), before)


def test_other_items_than_the_baseline_are_an_error(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    score = next(each for each in spec["scores"] if each.checkpoint.endswith("head_pruning-sparsity=0.25"))
    pd.read_parquet(score.path).iloc[1:].to_parquet(score.path)
    with pytest.raises(
        UserError, match=r"head_pruning-sparsity=0\.25.*different items \(0 only in the first, 1 only .* 'i0000'"
    ):
        synthetic_study.build(spec)


def test_missing_scores_baselines_and_records_are_errors(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    without = [each for each in spec["scores"] if each.checkpoint != "minilm-sentiment-0"]
    with pytest.raises(UserError, match="the baseline minilm-sentiment-0 has no scores"):
        synthetic_study.build(spec | {"scores": without})
    Path(spec["scores"][3].path).unlink()
    with pytest.raises(UserError, match="these scores do not exist"):
        synthetic_study.build(spec)
    Path(spec["checkpoints"][0].record).unlink()
    with pytest.raises(UserError, match="the record of minilm-sentiment-0 is missing"):
        results.measurements(synthetic_study.job(spec))


def test_one_cluster_has_no_interval(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        pd.read_parquet(score.path).assign(cluster="one").to_parquet(score.path)
    table = synthetic_study.build(spec)
    sampled = table[table["statistic"] != "tied"]
    assert sampled[["ci_low", "ci_high", "p_value"]].isna().all(axis=None) and sampled["value"].notna().all()


def test_ledger_and_measurements_come_from_provenance(table, spec):
    found = row(table, key="minilm-sentiment-0-magnitude_global-sparsity=0.4", metric="task_score")
    assert (found["params"], found["effective_bits"], found["zero_fraction_total"]) == (1000, 19.2, 0.2)
    measured = results.measurements(synthetic_study.job(spec)).set_index(["key", "name"])["value"]
    key = "minilm-sentiment-0-magnitude_global-sparsity=0.4"
    assert measured[key].to_dict() == {
        "latency_ms": 3.25,
        "wall_s": 12.0,
        "peak_memory_bytes": 1024.0,
        **{f"score_wall_s/{name}": 1.5 for name in synthetic_study.MODULES},
        **{f"score_peak_memory_bytes/{name}": 9.0 for name in synthetic_study.MODULES},
    }
