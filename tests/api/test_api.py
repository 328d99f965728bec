"""`import fairshrink`: load a checkpoint, score it, read results; the workflow's test compares the numbers."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tiny import tiny_bert
from tiny_study import ROOT, environment, study, write_data, write_study

import fairshrink
from fairshrink.analysis import results_file
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.planning import grid


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a checkpoint of a regression task."""
    folder = tmp_path_factory.mktemp("api")
    source = tiny_bert("regression", folder / "source")
    checkpoints.save(checkpoints.from_source(source, head="regression"), folder / "checkpoint")
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def items(checkpoint):
    return fairshrink.score(checkpoint, "sentiment_gap", settings={"noun_phrases": 1, "names": 1})


def test_importing_it_imports_no_library():
    program = "import sys, fairshrink; fairshrink.score; print(*sorted(each.partition('.')[0] for each in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "fairshrink" in loaded
    assert loaded & {"torch", "numpy", "pandas", "pydantic", "transformers", "yaml"} == set()


def test_every_public_function_is_documented():
    for name in fairshrink.__all__:
        function = getattr(fairshrink, name)
        assert "UserError" in function.__doc__
        assert function.__annotations__["return"]


def test_a_loaded_checkpoint_and_its_folder_have_equal_scores(checkpoint, items):
    loaded = fairshrink.load_checkpoint(checkpoint)
    again = fairshrink.score(loaded, "sentiment_gap", settings={"noun_phrases": 1, "names": 1})
    pd.testing.assert_frame_equal(again, items)
    assert items["item"].is_monotonic_increasing
    assert set(items["group"]) == {"gender", "race"}
    assert loaded.precision == "fp32"


def test_summary_is_of_the_items(items):
    found = fairshrink.summarize(items, "sentiment_gap").set_index(["group", "statistic"])
    gap = (items["prediction_first"] - items["prediction_second"])[items["group"] == "gender"]
    row = found.loc["gender", "mean_gap"]
    assert row["value"] == pytest.approx(gap.mean())
    assert row["n_items"] == len(gap)
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert (row["unbiased_value"], np.isnan(row["random_value"])) == (0.0, True)
    narrow = fairshrink.summarize(items, "sentiment_gap", level=0.5).set_index(["group", "statistic"])
    assert row["ci_low"] < narrow.loc["gender", "mean_gap"]["ci_low"]


def test_one_cluster_gives_no_interval(items):
    found = fairshrink.summarize(items.assign(cluster="all"), "sentiment_gap")
    estimates = found[~found["statistic"].isin(["skipped", "tied"])]
    assert estimates["ci_low"].isna().all()
    assert estimates["value"].notna().any()


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        ("sentiment_gpa", {}, "did you mean 'sentiment_gap'"),
        ("sentiment_gap", {"settings": {"nouns": 3}}, "sentiment_gap.nouns: there is no key 'nouns'"),
        ("sentiment_gap", {"settings": {"names": 0}}, r"sentiment_gap\.names: .*greater than"),
        ("sentiment_gap", {"data": {"items": "x"}}, "has no role 'items'"),
        ("crows_pairs", {}, r"crows_pairs needs data=\{'items': path\}: the CSV file"),
        ("crows_pairs", {"data": {"items": "nowhere.csv"}}, "nowhere.csv: there is no such file"),
        ("task_score", {}, "give it one, `task=open_task"),
        ("fidelity", {"task": object()}, "compares a checkpoint with its baseline: give it, `baseline=PATH`"),
    ],
)
def test_invalid_arguments_are_user_errors(checkpoint, metric, options, message):
    with pytest.raises(UserError, match=message):
        fairshrink.score(checkpoint, metric, **options)


def test_a_folder_without_a_checkpoint_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="not a"):
        fairshrink.load_checkpoint(tmp_path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the tiny study and its data."""
    write_data(tmp_path / "local")
    write_study(tmp_path, study())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tasks_and_results_of_a_study(folder):
    loaded = fairshrink.load_study("config.yaml")
    assert loaded.name == "tiny"
    task = fairshrink.open_task(loaded, "sentiment", split=1)
    assert (task.name, task.kind, task.split, task.seed) == ("sentiment", "regression", 1, 4)
    with pytest.raises(UserError, match=r"no task 'sentiment' with split 2; there is .*sentiment \(split 1\)"):
        fairshrink.open_task("config.yaml", "sentiment", split=2)
    with pytest.raises(UserError, match="there are no such results"):
        fairshrink.read_results(loaded)
    table = results_file.frame([{"model": "bert", "metric": "weat", "value": 0.25}], results_file.RESULTS)
    place = grid.expand(loaded).tables.path
    (folder / place / "tables").mkdir(parents=True)
    results_file.write(table, results_file.RESULTS, folder / place / "tables/results.parquet")
    for given in (loaded, "config.yaml", folder / place / "tables", folder / place / "tables/results.parquet"):
        pd.testing.assert_frame_equal(fairshrink.read_results(given), table)
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        fairshrink.read_results("nowhere.yaml")
    with pytest.raises(UserError, match="there are no such results"):
        fairshrink.read_results(folder)
    (folder / place / "tables/results.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"results\.parquet is damaged"):
        fairshrink.read_results(loaded)
