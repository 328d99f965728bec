"""A job whose inputs are damaged in part makes what rests on the others, and says what does not."""

from collections import Counter
from pathlib import Path

import pytest
from stub_artifacts import flip
from tiny_study import study, write_data, write_study

from fairshrink.errors import UserError
from fairshrink.explaining import missing
from fairshrink.planning import plan_files, workflow
from fairshrink.stages import runner
from fairshrink.store import artifacts, failures


def content() -> dict:
    """One model as it is and pruned twice, scored by one metric without data."""
    made = study()
    made["downloads"] = {"bert": made["downloads"]["bert"]}
    made["models"] = {"bert": {"download": "bert", "family": "encoder", "tasks": ["similarity"]}}
    made["tasks"] = {"similarity": {"kind": "similarity"}}
    made["compressions"] = [{"method": "magnitude_global", "sparsity": [0.2, 0.5]}]
    made["metrics"] = [{"metric": "bias_sts", "sample": 12}]
    return made | {"controls": [{"method": "random_init"}]}


@pytest.fixture
def compressed(tmp_path, monkeypatch):
    """All but the scores and the tables is made."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "local", ("bert",))
    write_study(tmp_path, content())
    made = workflow.make("config.yaml")
    file = plan_files.write(made)
    for job in made.of("download", "finetune", "compress"):
        runner.run(job.stage, file, job.name, 1)
    return tmp_path


def evaluate() -> tuple[Counter[str], str]:
    """Runs what a new plan has to evaluate; how many scores there are of each method, and what was said."""
    made = workflow.make("config.yaml")
    said, file = "", plan_files.write(made)
    (job,) = made.of("evaluate")
    try:
        runner.run("evaluate", file, job.name, 1)
    except UserError as error:
        said = str(error)
    here = (each.job.checkpoint for each in job.artifacts if artifacts.exists(Path(each.recipe.path)))
    return Counter(Path(each).name.rpartition("-")[0] for each in here), said


def damage(pattern: str) -> Path:
    (folder,) = Path("results").glob(pattern)
    flip(next(folder.glob("*attention.safetensors")))
    return folder


def test_what_is_made_of_a_damaged_checkpoint_alone_is_missing(compressed):
    folder = damage("compressed/*sparsity0.2-*/")
    there, said = evaluate()
    assert there == {"bert-similarity": 2, "bert-similarity-magnitude_global-sparsity0.5": 1}
    assert "1 of the 4 artifacts of this job failed, 3 exist" in said
    assert f"{folder}: compressed-attention.safetensors: not the recorded bytes" in said
    (job,) = workflow.make("config.yaml").of("evaluate")
    (order,) = job.artifacts
    assert "not the recorded bytes" in str(failures.reason(order.recipe.key))
    there, said = evaluate()
    assert not there and said.startswith(f"{folder}: compressed-attention")


def test_what_rests_on_a_damaged_baseline_is_missing(compressed):
    """The control is made of it; what was compressed before is scored by itself."""
    damage("baselines/*/")
    there, said = evaluate()
    assert there == {f"bert-similarity-magnitude_global-sparsity{each}": 1 for each in (0.2, 0.5)}
    assert "2 of the 4 artifacts of this job failed, 2 exist" in said


def test_damaged_scores_are_a_hole_of_the_partial_answer(compressed):
    """Bytes in the middle of a Parquet file may change without an error when it is read."""
    evaluate()
    (folder,) = Path("results/scores").glob("*sparsity0.2-*/bias_sts-*/")
    flip(folder / "items.parquet")
    said = missing.show("config.yaml")
    assert "1 of 4 scores are missing" in said
    assert f"1 x missing: damaged ({folder}: items.parquet: not the recorded bytes" in said


def test_nothing_is_made_where_all_is_damaged(compressed):
    for pattern in ("baselines/*/", "compressed/*sparsity0.2-*/", "compressed/*sparsity0.5-*/"):
        damage(pattern)
    there, said = evaluate()
    assert not there and "4 of the 4 artifacts of this job failed, 0 exist" in said


def test_damage_that_no_artifact_names_stops_the_job(compressed, monkeypatch):
    """Nobody could say which scores rest on it."""
    damage("compressed/*sparsity0.2-*/")
    made = workflow.make("config.yaml")
    file = plan_files.write(made)
    (job,) = made.of("evaluate")
    monkeypatch.setattr(runner, "_inputs", lambda recipe: set())
    with pytest.raises(UserError, match="not the recorded bytes"):
        runner.run("evaluate", file, job.name, 1)
    assert not any(artifacts.exists(Path(each.recipe.path)) for each in job.artifacts)
