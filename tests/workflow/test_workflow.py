"""A whole tiny study, from its data to its tables, through real Snakemake and DVC."""

import copy
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from tiny_study import git, planned, run, snakemake, study, workspace, write_study

import fairshrink
from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.reporting import outputs

pytestmark = pytest.mark.workflow
CONTRACT = [
    "model",
    "family",
    "task",
    "split",
    "seed",
    "method",
    "setting",
    "sparsity",
    "metric",
    "dataset",
    "group",
    "statistic",
    "value",
    "ci_low",
    "ci_high",
    "n_items",
    "unbiased_value",
    "random_value",
    "p_value",
    "baseline_value",
    "change_low",
    "change_high",
    "mde",
    "damage",
    "signal_kept",
    "null_value",
    "null_low",
    "null_high",
    "residual",
    "residual_low",
    "residual_high",
    "residual_p",
    "key",
    "params",
    "zero_fraction_prunable",
    "zero_fraction_total",
    "effective_bits",
    "bytes",
    "flops_per_token",
    "cache_bytes_per_token",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study after its first run. Tests leave it as they found it."""
    folder = workspace(tmp_path_factory.mktemp("finished"))
    snakemake(folder)
    return folder


@pytest.fixture
def clone(finished, tmp_path):
    """A copy of the finished study that a test may change."""
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


def artifacts(folder: Path) -> list[Path]:
    patterns = ("data/*", "results/baselines/*", "results/compressed/*", "results/scores/*/*")
    return [marker.parent for pattern in patterns for marker in folder.glob(f"{pattern}/provenance.json")]


def score_bytes(folder: Path) -> dict[str, bytes]:
    files = folder.glob("results/scores/*/*/items.parquet")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_first_run_makes_everything_and_a_second_nothing(finished):
    (answer,) = finished.glob("results/published/tiny-*/")
    record = json.loads((answer / "provenance.json").read_text())
    frame = pd.read_parquet(finished / "results/tables/results.parquet")
    made = {}
    for _, row in frame.drop_duplicates("key").iterrows():
        sparsity = None if pd.isna(row["sparsity"]) else row["sparsity"]
        made.setdefault((row["model"], row["task"]), []).append((row["method"], sparsity))
    modules = {name: name for name in frame["metric"]}
    expected = {f"tables/{name}" for name in outputs.tables({task for _, task in made}, modules)}
    figures = {f"figures/{name}" for name in outputs.figures(made)}
    assert set(record["files"]) == expected | figures | {outputs.REPORT}
    for name in record["files"]:
        assert (finished / "results" / name).read_bytes() == (answer / name).read_bytes() != b""
    assert planned(finished) == {}
    again = snakemake(finished)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_jobs_of_a_run_are_forked(finished):
    said = {path: path.read_text() for path in finished.glob("logs/*/*.log")}
    assert len(said) == 24
    assert [path for path, text in said.items() if "started by itself" in text] == []


def test_results_follow_their_contract(finished):
    frame = pd.read_parquet(finished / "results/tables/results.parquet")
    assert list(frame.columns) == CONTRACT
    assert set(frame["metric"]) == {"task_score", "weat", "stereoset", "crows_pairs", "bias_nli", "bias_sts"}
    assert not frame[["params", "effective_bits", "bytes", "flops_per_token", "key", "n_items"]].isna().any().any()
    baselines = frame[frame["method"] == "none"]
    assert baselines["p_value"].isna().all()
    assert (baselines["value"].fillna(-9) == baselines["baseline_value"].fillna(-9)).all()
    inside = frame.dropna(subset=["value", "ci_low", "ci_high"])
    assert len(inside) > 0.8 * len(frame)
    assert (inside["ci_low"] <= inside["ci_high"]).all()


def test_values_follow_from_the_per_item_scores(finished):
    frame = pd.read_parquet(finished / "results/tables/results.parquet")
    rows = frame.query("metric == 'bias_nli' and statistic == 'net_neutral' and group == 'all'")
    assert len(rows) == 6
    for row in rows.itertuples():
        (file,) = finished.glob(f"results/scores/*-{row.key}/bias_nli-*/items.parquet")
        items = pd.read_parquet(file)
        scored = items[items["group"] != "task"]  # held-out pairs of the task are a contrast, not part of the score
        assert row.value == pytest.approx(scored["p_neutral"].mean(), rel=1e-9)
        assert row.n_items == len(scored) < len(items)


def test_the_python_interface_gives_the_numbers_of_the_workflow(finished, monkeypatch):
    monkeypatch.chdir(finished)
    results = fairshrink.read_results("config.yaml")
    assert results.equals(fairshrink.read_results("results/tables"))
    place = results["metric"].eq("task_score") & results["task"].eq("sentiment") & results["split"].eq(1)
    key = results[place & results["method"].eq("magnitude_global")]["key"].iloc[0]
    (checkpoint,) = finished.glob(f"results/compressed/*-{key}/")
    (file,) = finished.glob(f"results/scores/*-{key}/task_score-*/items.parquet")
    items = fairshrink.score(checkpoint, "task_score", task=fairshrink.open_task("config.yaml", "sentiment", split=1))
    pd.testing.assert_frame_equal(items, pd.read_parquet(file), rtol=1e-5, atol=1e-6)
    made = fairshrink.summarize(pd.read_parquet(file), "task_score")
    rows = results[place & results["key"].eq(key)]
    columns = ["group", "statistic", "value", "ci_low", "ci_high", "n_items", "unbiased_value", "random_value"]
    there = made.merge(rows, on=["group", "statistic"], suffixes=("", "_there"), validate="one_to_one")
    assert len(there) == len(made) == len(rows) > 3
    for name in columns[2:7]:
        np.testing.assert_allclose(there[name].astype(float), there[f"{name}_there"].astype(float), rtol=1e-9)


def test_every_artifact_has_its_pointer_and_its_record(finished):
    found = artifacts(finished)
    assert len(found) > 80
    for path in found:
        assert path.with_name(path.name + ".dvc").is_file(), path
        record = json.loads((path / "provenance.json").read_text())
        assert path.name.endswith(record["key"])
        assert set(record["parts"]) == {"stage", "code", "params", "inputs"}
    git(finished, "add", "-A")
    staged = git(finished, "diff", "--cached", "--name-only").splitlines()
    git(finished, "reset", "-q")
    assert all(name.endswith((".dvc", ".json")) or name.startswith("results/plots/tiny/") for name in staged), staged
    status = run(finished, "dvc", "data", "status", "--json").stdout
    assert not json.loads(status).get("uncommitted")


def test_times_and_snakemakes_own_records_do_not_matter(clone):
    draw = random.Random(1)
    for path in sorted(clone.rglob("*")):
        if ".git" not in path.parts and path.is_file():
            moment = draw.randrange(10**9, 2 * 10**9)
            os.utime(path, (moment, moment))
    assert planned(clone) == {}
    shutil.rmtree(clone / ".snakemake")
    assert planned(clone) == {}


def test_tables_are_rebuilt_from_scores_alone(clone, finished):
    for name in ("data", "results/baselines", "results/compressed", "results/tables", "results/figures", ".dvc/cache"):
        shutil.rmtree(clone / name)
    shutil.rmtree(clone / "results/published")
    assert planned(clone) == {"aggregate": 1}
    snakemake(clone)
    name = "results/tables/results.parquet"
    assert (clone / name).read_bytes() == (finished / name).read_bytes()


def test_a_missing_score_needs_its_checkpoint_and_no_other(clone):
    (score,) = clone.glob("results/scores/bert-nli-s0-int8_dynamic-*/bias_nli-*/")
    shutil.rmtree(score)
    shutil.rmtree(clone / "results/published")
    score.with_name(score.name + ".dvc").unlink()
    assert planned(clone) == {"evaluate": 1, "aggregate": 1}
    for path in clone.glob("results/compressed/bert-nli-s0-int8_dynamic-*/"):
        shutil.rmtree(path)
    assert planned(clone) == {"restore": 1, "evaluate": 1, "aggregate": 1}
    for pointer in clone.glob("results/compressed/bert-nli-s0-int8_dynamic-*.dvc"):
        pointer.unlink()
    assert planned(clone) == {"compress": 1, "evaluate": 1, "aggregate": 1}


def test_comment_changes_nothing_and_code_only_its_own_cells(clone):
    method = clone / "fairshrink/compression/controls/random_init.py"
    method.write_text("# how a fresh model starts\n" + method.read_text())
    assert planned(clone) == {}
    method.write_text(method.read_text().replace("def compress(", "def compress(_unused=0, *, x=1, "))
    found = planned(clone)
    assert found == {"evaluate": 1, "aggregate": 1}  # six controls, made where they are scored


def test_parameter_changed_and_changed_back(clone):
    content = study()
    changed = copy.deepcopy(content)
    changed["metrics"][4]["sample"] = 36
    write_study(clone, changed)
    assert planned(clone) == {"evaluate": 1, "aggregate": 1}  # the checkpoints of one baseline share a job
    write_study(clone, content)
    assert planned(clone) == {}


def test_full_graph_on_demand(finished):
    found = planned(finished, "--config", "full=true", "--forceall")
    assert {"download", "finetune", "compress", "evaluate", "aggregate"} == set(found)


def test_from_scratch_through_dvc_the_bytes_are_the_same(finished, tmp_path):
    content = study()
    content["models"]["bert"]["tasks"] = content["compressions"][1]["tasks"] = ["nli"]
    content["tasks"] = {name: content["tasks"][name] for name in ("nli", "lm")}
    content["metrics"] = [each for each in content["metrics"] if each["metric"] not in ("weat", "bias_sts")]
    content["metrics"][1]["tasks"] = ["lm"]
    folder = workspace(tmp_path, content)
    run(folder, "dvc", "repro", "-q")
    found = score_bytes(folder)
    assert len(found) == 24  # nli: 6 checkpoints by 2 metrics; lm: 4 by 3
    there = score_bytes(finished)
    assert found == {path: there[path] for path in there if path.split("/")[2].split("-")[1] in ("nli", "lm")}
    whole, part = (pd.read_parquet(each / "results/tables/results.parquet") for each in (finished, folder))
    whole = whole[whole["task"].isin(["nli", "lm"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, whole, check_exact=True)
    assert "up to date" in run(folder, "dvc", "status").stdout
    shown = run(folder, "dvc", "metrics", "show", "--json").stdout
    assert "nli" in shown
    run(folder, "dvc", "plots", "show", "-o", "plots")
    assert (folder / "plots" / "index.html").is_file()
    drawn = json.loads(run(folder, "dvc", "plots", "show", "--json").stdout)
    assert sorted(drawn["data"]) == sorted(
        each.relative_to(folder).as_posix() for each in folder.glob("results/plots/tiny/*/*.csv")
    )
    numbers = compared_by_dvc(folder)
    assert numbers["workspace"] == numbers["commits"] == [1.5]
    graph = run(folder, "dvc", "dag", "--dot").stdout
    assert all(stage in graph for stage in ("download", "finetune", "compress", "evaluate", "aggregate"))


def compared_by_dvc(folder: Path) -> dict[str, list[float]]:
    """What `dvc metrics diff` says of one headline number that is 1.5 larger, in the workspace and between commits."""
    shutil.rmtree(folder / "plots")
    git(folder, "add", "data", "results", "dvc.lock")
    git(folder, "commit", "-q", "-m", "results")
    assert git(folder, "status", "--porcelain") == ""
    path = folder / "results/metrics/tiny.json"
    content = json.loads(path.read_text())
    inside = content
    while isinstance(inside, dict):
        parent, key = inside, next(iter(inside))
        inside = inside[key]
    parent[key] += 1.5
    path.write_text(json.dumps(content))
    found = {"workspace": run(folder, "dvc", "metrics", "diff", "--json").stdout}
    git(folder, "commit", "-q", "-a", "-m", "another number")
    found["commits"] = run(folder, "dvc", "metrics", "diff", "--json", "HEAD~1", "HEAD").stdout
    return {
        name: [round(each["diff"], 9) for file in json.loads(text).values() for each in file.values()]
        for name, text in found.items()
    }


def test_report_is_one_self_contained_page(clone):
    snakemake(clone, "--report", "report.html")
    page = (clone / "report.html").read_text()
    assert "Bias against sparsity" in page
    assert "Verdicts" in page


def test_study_with_mistakes_starts_no_job(clone):
    content = study()
    content["compressions"][0]["method"] = "magnitude_globl"
    content["metrics"][4]["smple"] = 3
    write_study(clone, content)
    done = snakemake(clone, check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "config.yaml: 2 mistakes" in text
    assert "did you mean 'magnitude_global'?" in text
    assert "did you mean 'sample'?" in text
    assert "Traceback" not in text


def test_a_failing_job_says_why_and_keeps_what_was_made(tmp_path):
    content = study()
    content["models"].pop("llama")
    content["tasks"] = {name: content["tasks"][name] for name in ("sentiment", "similarity")}
    content["models"]["bert"]["tasks"] = ["similarity"]
    content["models"]["cut"] = content["models"]["bert"] | {"download": "cut", "tasks": ["sentiment"]}
    content["downloads"]["cut"] = {"source": "local", "path": "local/cut"}
    content["tasks"]["sentiment"]["splits"] = [0]
    content["compressions"] = [{"method": "random", "sparsity": 0.5}]
    content["controls"] = []
    content["metrics"] = [{"metric": "task_score"}, {"metric": "bias_sts"}]
    folder = workspace(tmp_path, content)
    weights = folder / "local/cut/model.safetensors"
    shutil.copytree(folder / "local/bert", weights.parent)
    good = weights.read_bytes()
    weights.write_bytes(good[: len(good) // 2] + b"\xff" * (len(good) - len(good) // 2))  # NaN
    done = snakemake(folder, "--keep-going", check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "data/cut-" in text
    assert "its weights are damaged" in text
    assert "Traceback" not in text
    assert list(folder.glob("results/scores/bert-similarity-*/bias_sts-*/items.parquet"))
    assert not list(folder.glob("results/baselines/cut-sentiment-*"))
    assert list(folder.glob("results/baselines/*.dvc"))
    assert not list(folder.rglob("*.part"))
    weights.write_bytes(good)
    assert planned(folder) == {"download": 1, "finetune": 1, "compress": 1, "evaluate": 1, "aggregate": 1}


def test_parquet_files_contain_no_time_and_no_path(finished):
    for path in finished.glob("results/scores/*/*/items.parquet"):
        about = pq.read_schema(path).metadata or {}
        assert str(finished).encode() not in b"".join(about.values())


def test_an_exported_checkpoint_says_what_its_study_found(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished)
    frame = fairshrink.read_results("config.yaml")
    rows = frame[(frame["task"] == "nli") & (frame["setting"] == "sparsity=0.5")]
    assert len(rows) > 10 and rows["key"].nunique() == 1
    source = next(Path("results/compressed").glob(f"*-{rows['key'].iloc[0]}"))
    exporting.export(source, tmp_path / "plain", "config.yaml")
    card = (tmp_path / "plain" / "README.md").read_text()
    assert "- method: magnitude_global\n- setting: sparsity=0.5\n- all settings of magnitude_global: " in card
    assert f"| parameters | {rows['params'].iloc[0]:,.0f} |" in card
    table = [line for line in card.splitlines() if line.startswith("| ")][-len(rows) :]
    for line, row in zip(table, rows.to_dict("records"), strict=True):
        metric, statistic, group, value, _, baseline = (each.strip() for each in line.strip("|").split(" | "))
        assert (metric, statistic.replace("\\|", "|"), group) == (row["metric"], row["statistic"], row["group"])
        for text, number in ((value, row["value"]), (baseline, row["baseline_value"])):
            assert text == "–" if pd.isna(number) else float(text.replace("−", "-")) == pytest.approx(number, rel=5e-3)


def test_a_study_that_does_not_know_a_checkpoint_is_no_source_for_its_card(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished)
    source = next(each for each in Path("results/compressed").iterdir() if each.is_dir())
    other = tmp_path / "plain"
    record = json.loads((source / "provenance.json").read_text()) | {"key": "0123456789ab"}
    shutil.copytree(source, tmp_path / "unknown", copy_function=shutil.copyfile)
    (tmp_path / "unknown" / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="its results say nothing of this checkpoint"):
        exporting.export(tmp_path / "unknown", other, "config.yaml")
    assert not other.exists()
