from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_checks as checks
import synthetic_study

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.agreement import COLUMNS as AGREEMENT
from fairshrink.analysis.degeneracy import COLUMNS as DEGENERACY
from fairshrink.analysis.flips import COLUMNS as FLIPS
from fairshrink.analysis.validity import COLUMNS as VALIDITY
from fairshrink.reporting import marks, overview, selection, tables
from fairshrink.reporting.outputs import outputs
from fairshrink.reporting.tables import all_tables, costs, groups, judged, occupations

CELL = selection.CELL


@pytest.fixture(scope="module")
def written(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    _write(raw, raw, folder)
    return folder


def _write(raw, shown, folder):
    results = checks.results(raw)
    frames = (checks.agreement(raw), checks.flips(raw), checks.degeneracy(raw), checks.validity(raw), results)
    tables.write(shown, *frames, checks.ABOUT, folder, checks.measurements(results))


def read(path):
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return table.assign(setting=table["setting"].fillna(""))


def markdown_rows(path) -> list[list[str]]:
    lines = [each for each in Path(path).read_text().splitlines() if each.startswith("| ")]
    return [[cell.strip() for cell in each.strip("|").split(" | ")] for each in lines]


def test_announced_files_are_written_and_no_other(tmp_path):
    spec = synthetic_study.write(tmp_path / "scores", splits=2)
    synthetic_study.aggregate(spec, tmp_path / "made")
    job = synthetic_study.job(spec)
    announced = outputs(job.checkpoints, job.scores)
    made = [each for each in (tmp_path / "made").rglob("*") if each.is_file()]
    there = {each.relative_to(tmp_path / "made").as_posix() for each in made}
    assert set(announced) == there and len(announced) == len(there)
    assert "tables/overview_sentiment-kept.tex" in there and "figures/minilm_sentiment_bias_by_damage.svg" in there


def test_overview_has_the_numbers_of_the_cells(cells, written):
    for task, rows in cells.groupby("task"):
        table = read(written / f"overview_{task}.csv").set_index(["model", "method", "setting"])
        assert len(table) == len(rows.drop_duplicates(CELL))
        for _, cell in rows.iterrows():
            line = table.loc[(cell["model"], cell["method"], cell["setting"])]
            for column in ("value", "low", "high"):
                name = cell["metric"] if column == "value" else f"{cell['metric']}_{column}"
                assert line[name] == pytest.approx(cell[column], rel=1e-5)


def test_overview_begins_with_the_baseline_and_ends_with_references(written):
    rows = markdown_rows(written / "overview_mlm.md")
    assert rows[2][0] == "baseline" and [each[0] for each in rows[-3:]] == [
        "random init",
        "unbiased model",
        "random model",
    ]
    assert not any("noise" in each[0] for each in rows)


def test_each_verdict_has_its_own_mark_and_is_explained(cells, written):
    assert set(marks.MARKS) == set(kinds.VERDICTS) and len(set(marks.MARKS.values())) == len(kinds.VERDICTS)
    made = overview.overview(cells, "mlm", 0.95)
    verdict = cells.set_index([*CELL, "metric"])["verdict"]
    metrics = selection.metrics(cells[cells["task"] == "mlm"])
    seen = set()
    for line in (each for each in made.lines if each.role == "compressed"):
        method = line.labels[0].replace(" ", "_")
        for metric, entry in zip(metrics, line.entries, strict=True):
            expected = verdict["minilm", "mlm", method, line.labels[1], metric]
            assert entry.mark == (marks.MARKS[expected] if isinstance(expected, str) else "")
            seen.add(expected)
    assert seen >= set(kinds.VERDICTS)
    assert all(f"{marks.MARKS[each]} {each}: " in made.note for each in kinds.VERDICTS)
    assert all(each.mark == "" for line in made.lines if line.role != "compressed" for each in line.entries)


def test_arrows_say_which_way_is_more_biased(cells):
    assert marks.arrow("more_biased", 0.0) == "↑" and marks.arrow("better", 1.0) == "↓"
    assert marks.arrow("", 50.0) == "↕50" and marks.arrow("", -0.5) == "↕−0.5"
    heads = overview.overview(cells, "mlm", 0.95).metrics
    assert heads == ("task score", "fidelity", "crows pairs ↕50", "seat ↕0", "stereoset ↕50")
    upward = cells.assign(higher_is=cells["higher_is"].where(cells["metric"] != "seat", "more_biased"))
    made = overview.overview(upward, "mlm", 0.95)
    assert "seat ↑" in made.metrics and "↑ higher is more biased" in made.note


def test_every_readable_table_says_which_way_its_values_are_more_biased_or_better(cells, written):
    note = overview.overview(cells, "mlm", 0.95).note
    assert "Task score: higher is better; fidelity: lower is better." in note
    made = judged.document(judged.verdicts(cells), 0.95)
    metrics = {row[2] for grid in made.grids for row in grid.rows}
    assert {"crows pairs ↕50", "seat ↕0", "stereoset ↕50"} <= metrics and "↕ the farther from" in made.note
    worse = cells.assign(higher_is=cells["higher_is"].where(cells["metric"] != "seat", "more_biased"))
    made = judged.document(judged.verdicts(worse), 0.95)
    assert "seat ↑" in {row[2] for grid in made.grids for row in grid.rows} and "↑ higher is more biased" in made.note
    by_group = pd.DataFrame(columns=[*CELL, "dataset", "statistic", "group", "value", "low", "high"])
    assert "(higher is more biased)" in groups.document(by_group, "a", "a", "b", 0.95, "", "higher is more biased").note
    assert "Higher is more damage" in (written / "damage.md").read_text()


def test_the_interval_over_trainings_is_shown_where_there_is_one(cells):
    row = cells[cells["metric"] == "stereoset"].iloc[0]
    assert "⟨" not in overview.value_text(row)
    with_training = row.copy()
    with_training[["value", "low", "high", "training_low", "training_high"]] = [56.13, 54.4, 57.9, 51.04, 61.2]
    assert overview.value_text(with_training) == "56.1 [54.4, 57.9] ⟨51.0, 61.2⟩"


def test_no_cell_has_an_interval_that_excludes_its_point(cells):
    all_tables.check_intervals(cells)
    for low, value in (("low", "value"), ("residual_low", "residual"), ("change_low", "change")):
        broken = cells.copy()
        at = broken.index[broken[low].notna()][3]
        broken.loc[at, low] = broken.loc[at, value] + 0.01
        with pytest.raises(ValueError, match="is outside its interval"):
            all_tables.check_intervals(broken)


def test_the_cut_leaves_out_checkpoints_that_lost_more_than_half(cells, written):
    kept = selection.performance(cells)
    for task in sorted(set(cells["task"])):
        whole, cut = read(written / f"overview_{task}.csv"), read(written / f"overview_{task}-kept.csv")
        places = [tuple(each) for each in whole[CELL].itertuples(index=False)]
        expected = [place for place in places if place[2] == "none" or kept[place] >= 0.5]
        assert [tuple(each) for each in cut[CELL].itertuples(index=False)] == expected
        assert 0 < len(cut) < len(whole)
    assert "2 left out that lost more" in (written / "overview_mlm-kept.md").read_text()


def test_a_checkpoint_of_unknown_performance_is_not_among_those_that_kept_it(cells):
    unknown = cells.assign(performance_kept=np.nan)
    left = selection.above_the_cut(unknown, selection.performance(unknown))
    assert set(left["method"]) == {"none"}


def test_verdicts_are_the_compressions_with_all_columns(raw, cells, written):
    table = read(written / "verdicts.csv")
    expected = judged.verdicts(cells)
    assert list(table.columns) == list(raw.columns)
    assert len(table) == len(expected) == 9 * 5 and not table["control"].any()
    assert list(table["verdict"]) == list(expected["verdict"])
    np.testing.assert_allclose(table["residual"], expected["residual"].astype(float), rtol=1e-5)


def test_headline_counts_each_verdict_and_names_the_largest_change(cells, written):
    found = json.loads((written / "headline.json").read_text())
    made = selection.compressed(cells)
    for task, models in found.items():
        for model, metrics in models.items():
            for name, said in metrics.items():
                rows = made[(made["task"] == task) & (made["model"] == model) & (made["metric"] == name)]
                largest = rows.loc[rows["change"].abs().idxmax()]
                assert said["largest_change"] == pytest.approx(largest["change"], rel=1e-5)
                assert said["largest_change_by"] == f"{largest['method']} {largest['setting']}".strip()
                counts = {kinds.slug(each): int((rows["verdict"] == each).sum()) for each in kinds.VERDICTS}
                if name in ("task_score", "fidelity"):
                    assert set(said) == {"baseline", "largest_change", "largest_change_by", "direction"}
                    assert said["direction"] == {"task_score": "higher is better", "fidelity": "lower is better"}[name]
                else:
                    assert {each: said[each] for each in counts} == counts and sum(counts.values()) == 9
                    assert re.fullmatch(r"farther from (0|50) is more biased", said["direction"])
    assert "changed_as_undirected_damage_does" in found["mlm"]["minilm"]["seat"]


def test_groups_are_averaged_over_splits_with_an_interval_that_is_not_too_narrow(raw):
    one = checks.results(raw)
    two = pd.concat([one, one.assign(split=1, value=one["value"] + 0.5, ci_low=one["ci_low"] + 0.5,
                                     ci_high=one["ci_high"] + 0.7)])  # fmt: skip
    table = groups.by_group(two, "seat", "mean_effect_size")
    first = one[(one["metric"] == "seat") & (one["method"] == "wanda") & (one["group"] == "race")].iloc[0]
    row = table[(table["method"] == "wanda") & (table["group"] == "race")].iloc[0]
    assert row["n_splits"] == 2 and row["value"] == pytest.approx(first["value"] + 0.25)
    assert row["low"] == pytest.approx(first["ci_low"] + 0.25) and row["high"] == pytest.approx(first["ci_high"] + 0.35)
    assert np.isnan(row["p_value"])


def test_groups_show_no_interval_that_excludes_its_point_and_no_mean_of_some_splits(raw):
    one = checks.results(raw)
    table = groups.by_group(one.assign(ci_low=one["value"] + 1, ci_high=one["value"] + 2), "seat", "mean_effect_size")
    assert table["value"].notna().all() and table[["low", "high"]].isna().all(axis=None)
    two = pd.concat([one, one.assign(split=1, value=np.nan)])
    assert groups.by_group(two, "seat", "mean_effect_size")["value"].isna().all()


def test_groups_are_columns_in_markdown_the_whole_first(written):
    rows = markdown_rows(written / "groups_stereoset.md")
    assert rows[0] == ["method", "setting", "all", "gender", "race"] and rows[2][0] == "baseline"


def test_extremes_by_hand():
    items = pd.DataFrame(
        {"job": ["a", "a", "b", "b", "c", "c", "d", "d"], "v": [1.0, 3.0, 5.0, 5.0, -1.0, 0.0, np.nan, 4.0]}
    )
    found = occupations.extremes(items, "job", "v", 2)
    assert list(found["job"]) == ["b", "d", "c", "a"]
    assert list(found["end"]) == ["highest"] * 2 + ["lowest"] * 2 and list(found["rank"]) == [1, 2, 1, 2]
    assert list(found["value"]) == [5.0, 4.0, -0.5, 2.0] and list(found["n_items"]) == [2, 1, 2, 2]
    assert found["low"][3] == pytest.approx(2 - 12.7062 * 1.0, rel=1e-4) and np.isnan(found["low"][1])


def test_extremes_of_few_groups_are_not_at_both_ends():
    items = pd.DataFrame({"job": list("aabbcc"), "v": [1.0, 1, 2, 2, 3, 3]})
    found = occupations.extremes(items, "job", "v", 5)
    assert list(found["job"]) == ["c", "b", "a"]
    assert occupations.extremes(items.iloc[:0], "job", "v", 5).empty


def test_occupations_average_items_over_splits():
    items = pd.DataFrame({"item": ["a/1", "a/2", "b/1", "b/2"], "cluster": list("aabb"), "v": [1.0, 2, 3, 4]})
    both = pd.concat([items, items.assign(v=items["v"] + 1)])
    found = occupations.of_checkpoints([(("m", "t", "none", ""), both)], "bias_sts", "cluster", "v", 1)
    assert list(found.columns) == occupations.COLUMNS
    assert list(found["occupation"]) == ["b", "a"] and list(found["value"]) == [4.0, 2.0]
    assert list(found["n_items"]) == [2, 2]


def test_damage_lists_every_checkpoint_with_controls(raw, cells, written):
    table = read(written / "damage.csv")
    expected = cells[cells["kind"] == "damage"]
    assert len(table) == len(expected) and table["control"].sum() == expected["control"].sum() > 16
    np.testing.assert_allclose(sorted(table["value"]), sorted(expected["value"]), rtol=1e-5)


def test_damage_has_the_other_statistics_of_the_results(raw, cells):
    results = checks.results(raw)
    more = results[results["metric"] == "fidelity"].assign(statistic="kl_p99", value=7.0, ci_low=6.0, ci_high=8.0)
    table = costs.damage(cells, pd.concat([results, more]))
    assert set(table["statistic"]) == {"damage", "kl_p99"}
    assert (table.loc[table["statistic"] == "kl_p99", "value"] == 7.0).all()
    assert table["statistic"].value_counts().nunique() == 1


def test_ledger_has_bytes_and_latency_beside_bias(raw, cells, written):
    table = read(written / "ledger.csv").set_index(CELL)
    place = ("minilm", "mlm", "int8_dynamic", "")
    cell = cells.set_index([*CELL, "metric"]).loc[(*place, "seat")]
    line = table.loc[place]
    assert line["bytes"] == cell["bytes"] and line["seat"] == pytest.approx(cell["value"], rel=1e-5)
    assert line["seat_verdict"] == cell["verdict"]
    measured = checks.measurements(checks.results(raw)).set_index(["key", "name"])["value"]
    assert line["latency_ratio"] == pytest.approx(measured["minilm-mlm-int8_dynamic-", "latency_ratio"], rel=1e-5)
    assert not set(table.index.get_level_values("method")) & {"weight_noise", "random_init", "dose"}
    assert table["energy_j_per_1000_items"].isna().all()


def test_ledger_has_the_energy_of_scoring_the_task_where_it_was_counted(raw, cells):
    results = checks.results(raw)
    keys = results.drop_duplicates("key").set_index("method").loc["int8_dynamic", "key"]
    task = cells.loc[cells["kind"] == "task", "metric"].iloc[0]
    rows = [
        {"key": key, "name": f"score_energy_j_per_1000_items/{name}", "value": value}
        for key in keys
        for name, value in ((task, 12.0), ("seat", 99.0))
    ]
    measured = pd.concat([checks.measurements(results), pd.DataFrame(rows)])
    found = costs.ledger(cells, results, measured).set_index("method")["energy_j_per_1000_items"]
    assert set(found["int8_dynamic"]) == {12.0} and found.drop("int8_dynamic").isna().all()


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("agreement", AGREEMENT),
        ("flips", FLIPS),
        ("degeneracy", DEGENERACY),
        ("validity", VALIDITY),
    ],
)
def test_checks_are_written_as_they_are_given(name, columns, raw, written):
    given = {"agreement": checks.agreement, "flips": checks.flips, "degeneracy": checks.degeneracy,
             "validity": checks.validity}[name](raw)  # fmt: skip
    table = pd.read_csv(written / f"{name}.csv", keep_default_na=False)
    assert list(table.columns) == columns and len(table) == len(given)
    column = next(each for each in ("spearman", "flipped", "correlation", "value") if each in columns)
    np.testing.assert_allclose(table[column], given[column], rtol=1e-5)
    assert (written / f"{name}.md").read_text().count("\n| ") >= len(given)


def test_empty_frames_give_tables_that_say_so(raw, tmp_path):
    none = pd.DataFrame()
    tables.write(raw, none, none, none, none, checks.results(raw).iloc[:0], checks.ABOUT, tmp_path)
    assert (tmp_path / "validity.csv").read_text() == ",".join(VALIDITY) + "\n"
    assert "Nothing to list" in (tmp_path / "flips.md").read_text()


def test_the_plot_table_starts_each_metric_at_the_baseline(cells, written):
    table = read(written / "bias_by_sparsity.csv")
    assert (table.loc[table["method"] == "none", "sparsity"] == 0).all() and table["sparsity"].notna().all()
    assert not set(table["metric"]) & {"task_score", "fidelity"} and len(table) == 5 * (1 + 6)


def test_tables_are_reproduced_byte_for_byte(raw, written, tmp_path):
    _write(raw, raw.sample(frac=1, random_state=3), tmp_path)
    for each in written.iterdir():
        assert each.read_bytes() == (tmp_path / each.name).read_bytes(), each.name
