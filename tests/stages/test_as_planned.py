"""What was edited after a run was planned is never recorded under a key that says otherwise."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from tiny_study import run, snakemake, study, workspace

from fairshrink import keys
from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.planning import definitions, package_files, plan_files
from fairshrink.stages.as_planned import AsPlanned
from fairshrink.store.artifacts import Recipe

STAGE = "fairshrink/stages/download.py"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A workspace whose run has been planned and not started."""
    folder = workspace(tmp_path_factory.mktemp("planned"), study())
    snakemake(folder, "-n")
    return folder


@pytest.fixture
def clone(planned, tmp_path):
    shutil.copytree(planned, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def download(folder: Path):
    """Run the job that copies the local model `bert` by the plan that there is: (exit status, output, artifacts)."""
    (plan,) = folder.glob(".snakemake/fairshrink/plan-*/plan.json")
    (name,) = [job.name for job in plan_files.read(plan).of("download") if job.about == "bert"]
    done = run(
        folder,
        sys.executable,
        "scripts/download.py",
        "--plan",
        str(plan),
        "--job",
        name,
        check=False,
        PYTHONPATH=str(folder),
    )
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    return done.returncode, text, list(folder.glob("data/bert-*/provenance.json"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_code_edited_after_planning_records_nothing(clone):
    edit(clone / STAGE, "found = module.fetch(", "found = dict() or module.fetch(")
    status, text, made = download(clone)
    assert status != 0 and made == []
    assert "_fill changed after this run was planned" in text
    edit(clone / STAGE, "dict() or ", "")
    status, text, made = download(clone)
    assert status == 0 and len(made) == 1, text


def test_an_edit_that_changes_no_key_does_no_harm(clone):
    edit(clone / STAGE, "found = module.fetch(", "# a comment\n    found = module.fetch(")
    edit(clone / "fairshrink/metrics/weat.py", "def score(", "def unused() -> int:\n    return 1\n\n\ndef score(")
    status, text, made = download(clone)
    assert status == 0 and len(made) == 1, text


def test_local_data_edited_after_planning_are_not_kept(clone):
    shutil.rmtree(clone / ".snakemake")
    snakemake(clone, "-n")  # paths of local data are absolute
    config = clone / "local/bert/config.json"
    config.write_text(config.read_text() + " ")
    status, text, made = download(clone)
    assert status != 0 and made == []
    assert "config.json changed after this run was planned" in text


def test_a_job_file_that_was_changed_is_not_followed(clone):
    for file in clone.glob(".snakemake/fairshrink/plan-*/jobs/download_bert*.json"):
        edit(file, "local/bert", "local/llama")
    status, text, made = download(clone)
    assert status != 0 and made == []
    assert "not as the plan was written" in text


def test_a_plan_that_was_changed_is_not_followed(clone):
    (plan,) = clone.glob(".snakemake/fairshrink/plan-*/plan.json")
    value = json.loads(plan.read_text())
    plan.write_text(json.dumps(value | {"device": "cuda"}, sort_keys=True, ensure_ascii=False))
    with pytest.raises(UserError, match="not as it was written"):
        plan_files.read(plan)


def recipe(**parts) -> Recipe:
    code = definitions.code_of((CodeEntry("stages.download", "run"),))
    found = {"stage": "download", "code": code, "params": {}, "inputs": {}} | parts
    key = keys.key(**found)
    return Recipe("download", "x", key, f"data/x-{key}", found)


def witness(one: Recipe, loaded: frozenset[str], state: str | None = None) -> AsPlanned:
    entries = {one.key: (CodeEntry("stages.download", "run"),)}
    return AsPlanned(package_files.state() if state is None else state, entries, loaded)


def test_a_module_that_the_key_does_not_cover_must_not_be_loaded():
    import fairshrink.stages.download
    import fairshrink.stats.power  # noqa: F401

    one, others = recipe(), frozenset(sys.modules) - {"fairshrink.stages.download", "fairshrink.store.artifacts"}
    witness(one, others).check(one)  # its own module, and one that is inert
    with pytest.raises(UserError, match=r"loaded stats\.power, whose code no key covers"):
        witness(one, others - {"fairshrink.stats.power"}).check(one)


def test_code_counts_and_the_rest_of_the_package_does_not():
    one = recipe()
    witness(one, frozenset(sys.modules), "another state").check(one)  # something was edited, nothing that it calls
    other = recipe(code=dict(one.parts["code"]) | {"run": "0" * 16})
    with pytest.raises(UserError, match="run changed after this run was planned"):
        witness(other, frozenset(sys.modules), "another state").check(other)


@pytest.mark.parametrize("change", [{"key": "0" * 12}, {"path": "data/y-000000000000"}, {"name": "y"}])
def test_key_and_path_must_be_those_of_the_parts(change):
    one = recipe()
    wrong = Recipe(**(vars(one) | change))
    with pytest.raises(UserError, match="the key is not that of what the plan says"):
        AsPlanned("", {wrong.key: ()}).check(wrong)


def test_what_loads_a_checkpoints_form_is_covered_by_its_method():
    form, used = "fairshrink.models.stored_forms.removed_heads", "fairshrink.models.architecture.heads"
    importlib.import_module(form)
    importlib.import_module("fairshrink.stages.evaluate")
    entries = {"k": (CodeEntry("stages.evaluate", "run"),)}
    assert AsPlanned("", entries, frozenset(set(sys.modules) - {form, used}))._unknown() == []
    assert AsPlanned("", entries, frozenset(set(sys.modules) - {used}))._unknown() == [used.removeprefix("fairshrink.")]
