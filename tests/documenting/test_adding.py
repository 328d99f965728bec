"""The worked examples of docs/adding.md: each touches one folder, is found, and does what the page says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import ROOT, study, write_data, write_study

PROGRAM = """
import json, sys
from fairshrink.planning import grid, studies
print(json.dumps({path: each.key for path, each in grid.expand(studies.load(sys.argv[1])).items()}))
"""
FOLDERS = ("fairshrink/compression/unstructured/near_mean", "fairshrink/metrics/pronoun_preference")


def files_of_the_page():
    """Contents by path of all files that the page shows whole."""
    text = (ROOT / "docs/adding.md").read_text()
    return dict(re.findall(r"^`(fairshrink/[\w/.]+)`\n\n```(?:python|json)\n(.*?)```$", text, re.DOTALL | re.MULTILINE))


def contents(folder):
    return {each.relative_to(folder): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the package with the examples in it, and the tiny study with both."""
    folder = tmp_path_factory.mktemp("adding")
    shutil.copytree(ROOT / "fairshrink", folder / "fairshrink", ignore=shutil.ignore_patterns("__pycache__"))
    before = contents(folder)
    for name, text in files_of_the_page().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    after = contents(folder)
    assert {path: after[path] for path in before} == before
    assert {str(path.parent) for path in after.keys() - before.keys()} == set(FOLDERS)
    write_data(folder / "local", models=())
    content = study()
    content["compressions"].append({"method": "near_mean", "sparsity": [0.3, 0.6], "tasks": ["mlm"]})
    content["metrics"].append({"metric": "pronoun_preference"})
    write_study(folder, content)
    return folder


def python(project: Path, *arguments: str) -> str:
    paths = os.pathsep.join([str(project), str(ROOT / "tests/helpers")])
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=project, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def keys(project):
    """What the study with the examples makes, after they have been checked."""
    program = str(ROOT / "tests/helpers/worked_examples.py")
    return json.loads(python(project, program, str(project), str(project / "config.yaml"), str(project / "scratch")))


def named(paths):
    return {re.sub(r"-[0-9a-f]{12}", "", path) for path in paths}


def test_examples_run_and_the_study_with_them_validates(keys):
    made = named(keys)
    for sparsity in ("0.3", "0.6"):
        checkpoint = f"bert-mlm-s0-near_mean-sparsity{sparsity}"
        assert f"results/compressed/{checkpoint}" in made
        assert f"results/scores/{checkpoint}/pronoun_preference" in made
    assert not any("llama" in path and "pronoun_preference" in path for path in made)


@pytest.mark.parametrize(
    "edits",
    [
        {
            (f"{FOLDERS[0]}/shares.json", "0.5"): "0.25",
            (f"{FOLDERS[1]}/sentences.py", "was late"): "was early",
        },
        {
            (f"{FOLDERS[0]}/distances.py", "stable=True"): "stable=False",
            (f"{FOLDERS[1]}/occupations.json", "nurse"): "pilot",
        },
    ],
    ids=["data of the method, helper of the metric", "helper of the method, data of the metric"],
)
def test_edits_of_helpers_and_data_change_the_keys_of_what_uses_them_alone(project, keys, edits):
    originals = {file: (project / file).read_text() for file, _ in edits}
    for (file, old), new in edits.items():
        assert originals[file].count(old) == 1
        (project / file).write_text(originals[file].replace(old, new))
    try:
        after = json.loads(python(project, "-c", PROGRAM, str(project / "config.yaml")))
    finally:
        for file, text in originals.items():
            (project / file).write_text(text)
    changed = {path for path in named(after.keys() - keys.keys()) if not path.startswith("results/published/")}
    assert changed == {path for path in named(keys) if "near_mean" in path or "pronoun_preference" in path}


def test_examples_are_in_the_style_of_the_project(project):
    ruff = [sys.executable, "-m", "ruff"]
    config = ("--config", str(ROOT / "pyproject.toml"))
    for command in ([*ruff, "check", *config, *FOLDERS], [*ruff, "format", "--check", *config, *FOLDERS]):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
