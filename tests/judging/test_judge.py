"""Logs judged like a study: the study's own numbers after an export, hand-worked gaps, items that do not match."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from log_case import crows_line, noisy, preferences, write_crows, write_lines
from synthetic_study import BASELINE, CONTROLS, Cell

from fairshrink.analysis import results_file
from fairshrink.analysis.study import analyze
from fairshrink.commands import main as commands
from fairshrink.errors import UserError
from fairshrink.judging import exporting, given, tables, writing
from fairshrink.judging.call import judge
from fairshrink.judging.scorers import paired_gap, paired_share

CELLS = (
    Cell("magnitude_global", "unstructured", "sparsity=0.4", 0.4, 0.8, noise=0.2),
    Cell("head_pruning", "structured", "sparsity=0.25", 0.25, 0.95, shift=-0.25, noise=0.15),
    *[each for each in CONTROLS if each.setting.startswith(("control_seed=0", "control_seed=1"))],
    Cell("random_init", "controls", kept=0.0, noise=0.5),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The job that makes a study's tables, and what it finds."""
    job = synthetic_study.job(synthetic_study.write(tmp_path_factory.mktemp("study"), n=60, cells=CELLS))
    return job, analyze(job, synthetic_study.MODULES)


@pytest.fixture
def synthetic(monkeypatch):
    """The metrics of the synthetic study can be found by name."""
    monkeypatch.setattr(tables, "SCORERS", {**tables.SCORERS, **synthetic_study.MODULES})


@pytest.fixture
def logs(tmp_path):
    """A baseline, one that has lost signal, and one like the baseline."""
    before = preferences()
    write_crows(tmp_path / "base.jsonl", before)
    write_crows(tmp_path / "lost.jsonl", noisy(before, 1.0, 2, kept=0.25))
    write_crows(tmp_path / "same.jsonl", noisy(before, 0.01, 3))
    return tmp_path


@pytest.fixture
def call(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            commands.main([str(each) for each in arguments])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.mark.parametrize("form", writing.ENDINGS)
def test_an_export_holds_the_same_tables_in_every_format(form, study, synthetic, tmp_path):
    job, _ = study
    exporting.write_job(job, tmp_path, form)
    found = {
        (each.identity.method, each.identity.setting, split, label): table.items
        for each in given.whole_study(tmp_path)
        for split, tables_ in each.tables.items()
        for label, table in tables_.items()
    }
    who = {each.key: each.identity for each in job.checkpoints}
    assert len(found) == len(job.scores)
    for score in job.scores:
        mine = who[score.checkpoint]
        label = f"{score.entry} on {score.dataset}"
        pd.testing.assert_frame_equal(
            found[mine.method, mine.setting, mine.split, label], results_file.read_items(Path(score.path))
        )


def test_an_exported_study_is_judged_as_the_study_judges_it(study, synthetic, tmp_path):
    job, own = study
    exporting.write_job(job, tmp_path / "out", "csv")
    found = judge(tmp_path / "out")
    pd.testing.assert_frame_equal(found.cells, own.cells)
    pd.testing.assert_frame_equal(found.results.drop(columns="key"), own.results.drop(columns="key"))
    assert len(set(found.verdicts)) > 1
    assert found.notes == ()


def test_exported_checkpoints_can_be_judged_one_by_one(study, synthetic, tmp_path):
    job, own = study
    exporting.write_job(job, tmp_path, "parquet")
    folder = tmp_path / "minilm.sentiment"
    controls = sorted(each for each in folder.iterdir() if each.name.startswith(("weight_noise", "random_init")))
    others = [folder / "magnitude_global-sparsity=0.4", folder / "head_pruning-sparsity=0.25"]
    found = judge(folder / "none", others, controls=controls)
    pd.testing.assert_frame_equal(found.cells, own.cells)


def test_an_export_does_not_write_over_another(study, synthetic, tmp_path):
    exporting.write_job(study[0], tmp_path, "csv")
    with pytest.raises(UserError, match="exists already"):
        exporting.write_job(study[0], tmp_path, "csv")


def test_exit_status_tells_verdicts_apart(logs, call):
    status, said, _ = call("judge", logs / "base.jsonl", logs / "same.jsonl")
    assert (status, "same, crows_pairs: unchanged" in said) == (0, True)
    status, said, _ = call("judge", logs / "base.jsonl", logs / "same.jsonl", logs / "lost.jsonl")
    assert (status, "lost, crows_pairs: cannot resolve" in said) == (12, True)
    few = [json.loads(line) for line in (logs / "lost.jsonl").read_text().splitlines()[:20]]
    write_lines(logs / "few.jsonl", few)
    status, said, error = call("judge", logs / "base.jsonl", logs / "few.jsonl", "--shared-items")
    assert (status, "cannot resolve" in said) == (12, True)
    assert "base, crows_pairs: 380 of 400 items are not in all logs" in error
    write_crows(logs / "gone.jsonl", noisy(preferences(), 3.0, 4, kept=0.0))
    assert call("judge", logs / "base.jsonl", logs / "gone.jsonl")[0] == 13
    assert call("judge", logs / "base.jsonl", logs / "nowhere.jsonl")[0] == 1
    assert call("judge", "--nothing")[0] == 2


def test_a_neutral_score_tells_lost_signal(tmp_path, call):
    """A gap of 1 that shrinks to a quarter as the neutral score does."""
    drawn = np.random.default_rng(5).normal(size=(2, 400))
    for name, kept in (("base", 1.0), ("lost", 0.25)):
        columns = {"first": kept * (1 + drawn[0]), "second": 0.0, "neutral": kept * drawn[1]}
        pd.DataFrame({"item": np.arange(400), **columns}).to_csv(tmp_path / f"{name}.csv", index=False)
    logs = (tmp_path / "base.csv", tmp_path / "lost.csv")
    status, said, _ = call("judge", *logs, "--metric", "paired_gap", "--margin", "0.2")
    assert (status, "lost, paired_gap: only more random" in said) == (14, True)


def test_a_change_is_judged_against_controls_of_its_damage(tmp_path, call):
    """Shares of pairs where the larger half of preferences is turned: no line through the baseline's explains it."""
    before = preferences(400)
    neutral = np.random.default_rng(9).normal(size=400)

    def table(name, first, level):
        path = tmp_path / f"{name}.csv"
        pd.DataFrame({"item": np.arange(400), "first": first, "second": 0.0, "neutral": level}).to_csv(
            path, index=False
        )
        return path

    base = table("base", before, neutral)
    changed = table("changed", noisy(before, 0.1, 1) - 1.5, noisy(neutral, 0.05, 2))
    controls = [table(f"c{i}", noisy(before, 0.05 * i, 10 + i), noisy(neutral, 0.02 * i, 30 + i)) for i in range(1, 13)]
    alone = judge(base, changed, metric="paired_share")
    assert alone.verdicts == ("changed, damage not controlled",)
    damage = {f"c{i}": 0.001 * i**2 for i in range(1, 13)} | {"changed": 0.02}
    against = judge(base, changed, controls=controls, damage=damage, metric="paired_share")
    assert against.verdicts == ("less biased",)
    row = against.cells[against.cells["method"] == "changed"].set_index("metric").loc["paired_share"]
    assert row["n_controls"] == 12
    stated = {name: value for name, value in damage.items() if name != "c12"}
    with pytest.raises(UserError, match=r"none is stated for .*c12\.csv"):
        judge(base, changed, controls=controls, damage=stated, metric="paired_share")
    with pytest.raises(UserError, match="c13 is none of"):
        judge(base, changed, controls=controls, damage=damage | {"c13": 1.0}, metric="paired_share")
    with pytest.raises(UserError, match="at least 0"):
        judge(base, changed, controls=controls, damage=damage | {"changed": -1.0}, metric="paired_share")


def test_what_does_not_match_is_said_with_file_and_line(logs):
    lines = [json.loads(line) for line in (logs / "same.jsonl").read_text().splitlines()]
    short = write_lines(logs / "short.jsonl", lines[:-2])
    with pytest.raises(UserError, match=r"2 only in base \(first: '398' at .*base.jsonl:399\)"):
        judge(logs / "base.jsonl", short)
    other = write_lines(logs / "other.jsonl", [*lines[:-1], lines[-1] | {"doc": crows_line(3, 0.0)["doc"] | {"n": 1}}])
    with pytest.raises(UserError, match="asked for other texts"):
        judge(logs / "base.jsonl", other)
    moved = [{**line, "doc": {**line["doc"], "bias_type": "religion"}} for line in lines]
    with pytest.raises(UserError, match=r"same2.jsonl:1: item '0' is another one than at .*base.jsonl:1"):
        judge(logs / "base.jsonl", write_lines(logs / "same2.jsonl", moved))


def gap_tables(folder):
    generator = np.random.default_rng(5)
    second = generator.normal(size=60)
    first = second + 0.5 + 0.1 * generator.normal(size=60)
    for name, gap in (("a", first), ("b", first + 0.3)):
        table = pd.DataFrame({"item": range(60), "he": gap, "she": second, "group": ["x", "y"] * 30})
        table.to_csv(folder / f"{name}.csv", index=False)
    return first - second


def test_a_gap_in_a_unit_of_its_own_needs_a_margin_and_keeps_its_sign(tmp_path, call):
    gap = gap_tables(tmp_path)
    columns = {"first": "he", "second": "she"}
    with pytest.raises(UserError, match="`--margin paired_gap=NUMBER`"):
        judge(tmp_path / "a.csv", tmp_path / "b.csv", metric="paired_gap", columns=columns)
    found = judge(tmp_path / "a.csv", tmp_path / "b.csv", metric="paired_gap", columns=columns, margins={None: 0.1})
    row = found.cells[found.cells["method"] == "b"].iloc[0]
    assert row["baseline"] == pytest.approx(gap.mean())
    assert row["change"] == pytest.approx(0.3)
    turned = judge(
        tmp_path / "a.csv", tmp_path / "b.csv", metric="paired_gap", columns={"first": "she", "second": "he"},
        margins={"paired_gap": 0.1},
    )  # fmt: skip
    assert turned.cells["change"].iloc[1] == pytest.approx(-0.3)
    output = tmp_path / "out.json"
    status, said, _ = call(
        "judge", tmp_path / "a.csv", tmp_path / "b.csv", "--metric", "paired_gap", "--columns", "first=he",
        "second=she", "--margin", "0.1", "--output", output,
    )  # fmt: skip
    assert "unbiased is 0" in said
    rows = json.loads(output.read_text())
    assert [each["method"] for each in rows] == ["none", "b"]
    assert rows[1]["change"] == pytest.approx(0.3)
    assert status in (0, 11, 12)


def test_scorers_of_pairs_agree_with_counting_by_hand():
    items = pd.DataFrame(
        {
            "item": list("abcd"),
            "cluster": list("abcd"),
            "group": list("xxyy"),
            "first": [1, 2, 3, 4],
            "second": [0, 2, 5, 1],
        }
    )
    share = {(each.name, each.group): each.value(4) for each in paired_share.summarize(items, paired_share.Settings())}
    by_group = {("preferred_share", group): 50.0 for group in ("all", "x", "y")}
    assert share == by_group | {("skipped", "all"): 0.0, ("tied", "all"): 1.0}
    gap = {(each.name, each.group): each.value(4) for each in paired_gap.summarize(items, paired_gap.Settings())}
    assert gap == {("mean_gap", group): 0.5 for group in ("all", "x", "y")} | {
        ("skipped", "all"): 0.0,
        ("tied", "all"): 1.0,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base.jsonl"], "name the logs of compressed models too"),
        (["base.jsonl", "base.jsonl"], "two logs are called base"),
        (["base.jsonl", "same.jsonl", "--margin", "x=1"], "margin of x: there is no such metric here"),
        (["base.jsonl", "same.jsonl", "--margin", "much"], "'much' is no number"),
        (["base.jsonl", "same.jsonl", "--columns", "first"], "--columns first: write NAME=VALUE"),
        (["base.jsonl", "same.jsonl", "--level", "95"], "a number between 0 and 1"),
        (["base.jsonl", "same.jsonl", "--output", "x.txt"], "no format is called '.txt'"),
        (["base.jsonl", "same.jsonl", "--settings", "sampel=3"], "there is no key 'sampel' here"),
        (["empty", "same.jsonl"], "there are no logs in it"),
    ],
)
def test_mistakes_are_one_message(arguments, message, logs, call, monkeypatch):
    (logs / "empty").mkdir()
    monkeypatch.chdir(logs)
    status, _, error = call("judge", *arguments)
    assert status == 1
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_holds_the_logs_of_one_model(logs):
    for name in ("base", "same"):
        (logs / name).mkdir()
        for task in ("gender", "age"):
            target = logs / name / f"samples_crows_pairs_english_{task}_2025-01-02T03-04-05.678.jsonl"
            target.write_bytes((logs / f"{name}.jsonl").read_bytes())
        (logs / name / "results_2025-01-02T03-04-05.678.json").write_text("{}")
    found = judge(logs / "base", logs / "same")
    assert sorted(set(found.cells["metric"])) == ["crows_pairs_english_age", "crows_pairs_english_gender"]
    (logs / "same" / "samples_crows_pairs_english_age_2025-01-02T03-04-05.678.jsonl").unlink()
    assert judge(logs / "base", logs / "same").notes == (
        "same: no log of crows_pairs_english_age, which the baseline has",
    )
    with pytest.raises(UserError, match="same has crows_pairs_english_gender, and the baseline base has crows_pairs"):
        judge(logs / "base.jsonl", logs / "same")


def test_baselines_of_a_cell_are_named(study):
    """The synthetic study is what the round trip needs: more than one split, controls, damage and a task score."""
    job, own = study
    assert {each.identity.split for each in job.checkpoints} == {0, 1}
    assert own.cells["damage"].notna().any() and own.cells["task_score"].notna().any()
    assert BASELINE.method in set(own.cells["method"])


def test_files_that_cannot_be_written_are_named_before_anything_is_judged(logs, call, study, tmp_path):
    for option, name, message in (
        ("--output", "no/x.csv", "does not exist; make it"),
        ("--results", "base.jsonl/x.csv", "is a file; make it"),
        ("--results", "cells", "its ending does not say which format"),
    ):
        status, said, error = call("judge", logs / "base.jsonl", logs / "same.jsonl", option, tmp_path / name)
        assert (status, said) == (1, "") and error.startswith("error: ") and message in error
    job, _ = study
    with pytest.raises(UserError, match=r"base\.jsonl is a file, so there can be no folder"):
        exporting.write_job(job, logs / "base.jsonl", "csv")
