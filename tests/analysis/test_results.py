from __future__ import annotations

import json
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
    *("baseline_value", "key", "params", "zero_fraction_prunable", "zero_fraction_total", "effective_bits", "bytes"),
    "flops_per_token",
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
    (path,) = [s["path"] for s in spec["scores"] if (s["checkpoint"], s["metric"]) == (checkpoint, metric)]
    return pd.read_parquet(path)


def test_columns_are_those_of_the_contract(table, spec):
    assert list(table.columns) == COLUMNS
    assert len(table) == len(spec["checkpoints"]) * 7
    order = ["model", "task", "split", "seed", "method", "sparsity", "setting", "key", "metric", "dataset", "group"]
    pd.testing.assert_frame_equal(table, table.sort_values([*order, "statistic"], ignore_index=True))
    text = ["model", "family", "task", "method", "setting", "metric", "dataset", "group", "statistic", "key"]
    whole = ["split", "seed", "n_items", "params", "bytes"]
    for name in COLUMNS:
        expected = "str" if name in text else "Int64" if name in whole else "float64"
        assert str(table[name].dtype) == expected, name


def test_every_mean_can_be_recomputed_with_three_lines_of_pandas(table, spec):
    for _, each in table[(table["statistic"] == "share") & (table["group"] != "all")].iterrows():
        items = scores(spec, each["key"], "stereotypes")
        by_group = items.groupby("group")["stereotype"].mean()
        assert each["value"] == pytest.approx(by_group[each["group"]])
        assert each["n_items"] == (items["group"] == each["group"]).sum()


def test_interval_and_p_are_those_of_copied_rows(table, spec):
    key, base = "minilm-sentiment-1-random-0.4", "minilm-sentiment-1"
    mine, other = scores(spec, key, "task_score"), scores(spec, base, "task_score")
    generator, names = np.random.default_rng(spec["seed"]), sorted(set(mine["cluster"]))
    rows = {name: np.flatnonzero(mine["cluster"] == name) for name in names}
    drawn, change = [], []
    for _ in range(spec["resamples"]):
        picked = np.concatenate([rows[names[i]] for i in generator.integers(len(names), size=len(names))])
        here, there = (stats.spearmanr(x["gold"][picked], x["predicted"][picked])[0] for x in (mine, other))
        drawn.append(here)
        change.append(here - there)
    found = row(table, key=key, metric="task_score")
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    tail = min(sum(c <= 0 for c in change), sum(c >= 0 for c in change))
    assert found["p_value"] == pytest.approx(min(1, 2 * (tail + 1) / (spec["resamples"] + 1)))
    assert found["baseline_value"] == pytest.approx(stats.spearmanr(other["gold"], other["predicted"])[0])


def test_baselines_and_counts_have_no_p(table):
    assert table.loc[table["method"] == "none", "p_value"].isna().all()
    counts = table[table["statistic"] == "tied"]
    assert counts["p_value"].isna().all()
    assert (counts["ci_low"] == counts["value"]).all() and (counts["ci_high"] == counts["value"]).all()


def test_a_copy_of_the_baseline_does_not_differ_from_it(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        if score["checkpoint"].endswith("int8_dynamic-None"):
            source = score["path"].replace("-int8_dynamic-None", "")
            Path(score["path"]).write_bytes(Path(source).read_bytes())
    table = synthetic_study.build(spec)
    same = table[(table["method"] == "int8_dynamic") & (table["statistic"] != "tied")]
    assert len(same) and (same["p_value"] == 1.0).all()


def test_random_value_is_theory_or_the_control_of_the_same_split(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=2)
    for split in (0, 1):
        path = tmp_path / f"scores/minilm-sentiment-{split}-random_init-None/sentiment_gap-abc.parquet"
        pd.read_parquet(path).assign(gap=0.1 + split).to_parquet(path)
    table = synthetic_study.build(spec)
    for split in (0, 1):
        key = f"minilm-sentiment-{split}"
        control = row(table, key=f"{key}-random_init-None", statistic="mean_gap")["value"]
        assert row(table, key=key, statistic="mean_gap")["random_value"] == control == 0.1 + split
    assert (table.loc[table["statistic"] == "share", "random_value"] == 0.5).all()
    assert table.loc[table["statistic"] == "tied", ["random_value", "unbiased_value"]].isna().all(axis=None)


def test_without_theory_and_control_the_random_value_is_unknown(spec):
    kept = [each for each in spec["checkpoints"] if each["method"] != "random_init"]
    keys = {each["key"] for each in kept}
    fewer = spec | {"checkpoints": kept, "scores": [s for s in spec["scores"] if s["checkpoint"] in keys]}
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
        pd.read_parquet(score["path"]).sample(frac=1, random_state=3).to_parquet(score["path"])
    pd.testing.assert_frame_equal(synthetic_study.build(spec), before)


def test_other_items_than_the_baseline_are_an_error(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    score = next(s for s in spec["scores"] if s["checkpoint"].endswith("heads-0.6"))
    pd.read_parquet(score["path"]).iloc[1:].to_parquet(score["path"])
    with pytest.raises(UserError, match=r"heads-0\.6.*different items \(0 only in the first, 1 only .* 'i0000'"):
        synthetic_study.build(spec)


def test_missing_scores_baselines_and_records_are_errors(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    without = [s for s in spec["scores"] if s["checkpoint"] != "minilm-sentiment-0"]
    with pytest.raises(UserError, match="the baseline minilm-sentiment-0 has no scores"):
        synthetic_study.build(spec | {"scores": without})
    Path(spec["scores"][3]["path"]).unlink()
    with pytest.raises(UserError, match="these scores do not exist"):
        synthetic_study.build(spec)
    Path(spec["checkpoints"][0]["ledger"]).unlink()
    with pytest.raises(UserError, match="the record of minilm-sentiment-0 is missing"):
        results.measurements(synthetic_study.job(spec))


def test_one_cluster_has_no_interval(tmp_path):
    spec = synthetic_study.write(tmp_path, splits=1)
    for score in spec["scores"]:
        pd.read_parquet(score["path"]).assign(cluster="one").to_parquet(score["path"])
    table = synthetic_study.build(spec)
    sampled = table[table["statistic"] != "tied"]
    assert sampled[["ci_low", "ci_high", "p_value"]].isna().all(axis=None) and sampled["value"].notna().all()


def test_ledger_and_measurements_come_from_provenance(table, spec):
    found = row(table, key="minilm-sentiment-0-heads-0.4", metric="task_score")
    assert (found["params"], found["effective_bits"], found["zero_fraction_total"]) == (1000, 19.2, 0.2)
    measured = results.measurements(synthetic_study.job(spec)).set_index(["key", "name"])["value"]
    key = "minilm-sentiment-0-heads-0.4"
    assert measured[key].to_dict() == {
        "latency_ms": 3.25,
        "wall_s": 12.0,
        "peak_memory_bytes": 1024.0,
        **{f"score_wall_s/{name}": 1.5 for name in synthetic_study.MODULES},
        **{f"score_peak_memory_bytes/{name}": 9.0 for name in synthetic_study.MODULES},
    }


def test_the_spec_is_plain_json(spec):
    assert json.loads(json.dumps(spec)) == spec
