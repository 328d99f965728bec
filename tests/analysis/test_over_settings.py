"""A metric with several settings: its headline over them with the settings as a random factor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from scipy import stats

from fairshrink.analysis.over_settings import COLUMNS, over_settings
from fairshrink.reporting import outputs

SHIFTS = (-0.3, 0.0, 0.1, 0.4)
PRUNED, BASE = "minilm-sentiment-0-head_pruning-sparsity=0.25", "minilm-sentiment-0"


def varied(folder: Path, shifts: tuple[float, ...], splits: int = 1) -> dict:
    """A study in which the gap was scored with settings that shift what compressed checkpoints say by so much."""
    spec = synthetic_study.write(folder, splits=splits, cells=synthetic_study.CELLS[3:5] + synthetic_study.CONTROLS[:1])
    kept = [each for each in spec["scores"] if each.metric != "sentiment_gap"]
    for number, shift in enumerate(shifts):
        for each in (each for each in spec["scores"] if each.metric == "sentiment_gap"):
            items = pd.read_parquet(each.path)
            is_baseline = each.checkpoint.count("-") == 2
            path = Path(each.path).with_name(f"gap{number}.parquet")
            items.assign(gap=items["gap"] + (0 if is_baseline else shift)).to_parquet(path, index=False)
            record = path.with_suffix(".json")
            record.write_text(Path(each.record).read_text())
            dataset = each.dataset + (f"; variant: {number}" if number else "")
            kept.append(replace(each, path=str(path), record=str(record), entry=f"gap_{number}", dataset=dataset))
    spec["scores"] = kept
    return spec


def table_of(spec: dict) -> pd.DataFrame:
    return over_settings(synthetic_study.job(spec), synthetic_study.MODULES)


def change_without_each_cluster(spec: dict, key: str = PRUNED) -> np.ndarray:
    """Mean change of the gap in the first setting without one cluster after the other, and of all: a plain loop."""
    (mine,) = [each.path for each in spec["scores"] if (each.checkpoint, each.entry) == (key, "gap_0")]
    (base,) = [each.path for each in spec["scores"] if (each.checkpoint, each.entry) == (BASE, "gap_0")]
    items = pd.read_parquet(mine).assign(before=pd.read_parquet(base)["gap"])
    change = items["gap"] - items["before"]
    names = sorted(set(items["cluster"]))
    return np.array([*(change[items["cluster"] != name].mean() for name in names), change.mean()])


def test_settings_that_shift_all_items_alike_add_their_spread_to_the_error(tmp_path):
    spec = varied(tmp_path, SHIFTS)
    found = table_of(spec)
    assert list(found.columns) == COLUMNS
    (row,) = found[(found["method"] == "head_pruning")].to_dict("records")
    *left, whole = change_without_each_cluster(spec)
    g, m = len(left), len(SHIFTS)
    shared = (g - 1) / g * np.sum((np.array(left) - np.mean(left)) ** 2)
    center = whole - SHIFTS[0] + np.mean(SHIFTS)
    assert row["mean"] == pytest.approx(center)
    reach = stats.t.ppf(0.975, g - 1) * np.sqrt(shared)
    assert (row["items_low"], row["items_high"]) == pytest.approx((center - reach, center + reach))
    between = np.var(SHIFTS, ddof=1) / m
    quantiles = [stats.t.ppf(0.975, df) for df in (m - 1, g - 1)]
    reach = np.average(quantiles, weights=[between, shared]) * np.sqrt(between + shared)
    assert (row["low"], row["high"]) == pytest.approx((center - reach, center + reach))
    assert row["spread"] == pytest.approx(np.std(SHIFTS, ddof=1))
    assert row["most"] - row["least"] == pytest.approx(max(SHIFTS) - min(SHIFTS))
    assert (row["what"], row["n_settings"], row["settings"]) == ("change", 4, "gap_0, gap_1, gap_2, gap_3")


def test_the_baseline_has_its_value_and_controls_are_left_out(tmp_path):
    found = table_of(varied(tmp_path, SHIFTS, splits=2))
    assert list(found["method"]) == ["none", "head_pruning", "int8_dynamic"]
    assert list(found["what"]) == ["value", "change", "change"]
    assert found["spread"][0] == pytest.approx(0.0)
    assert set(found["metric"]) == {"sentiment_gap"} and set(found["data"]) == {"sentiment_gap-data"}


def test_two_settings_say_nothing_of_others(tmp_path):
    found = table_of(varied(tmp_path, SHIFTS[:2]))
    assert found[["low", "high"]].isna().all(axis=None)
    assert found[["items_low", "items_high"]].notna().all(axis=None)


def test_a_study_without_several_settings_has_no_such_table(tmp_path):
    spec = synthetic_study.write(tmp_path / "one", splits=2)
    assert table_of(spec).empty
    assert not outputs.several_settings(spec["scores"])
    spec = varied(tmp_path / "several", SHIFTS[:2])
    assert outputs.several_settings(spec["scores"])
    names = outputs.outputs(spec["checkpoints"], spec["scores"])
    assert "tables/over_settings.csv" in names


def test_the_table_is_written_for_readers(tmp_path):
    spec = varied(tmp_path / "scores", SHIFTS[:3])
    synthetic_study.aggregate(spec, tmp_path / "made")
    shown = (tmp_path / "made/tables/over_settings.md").read_text()
    assert "head pruning" in shown and "sentiment gap" in shown
    assert len(pd.read_csv(tmp_path / "made/tables/over_settings.csv")) == 3
