"""Keys of a whole study: what changes them, what does not, and for which cells."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import ROOT, study, write_data, write_study

from fairshrink.planning import grid, setting, studies

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fairshrink.planning import grid; from fairshrink.planning import studies
print(json.dumps({path: each.key for path, each in grid.expand(studies.load(sys.argv[2])).items()}))
"""


@pytest.fixture
def project(tmp_path):
    """A copy of the package that tests may edit, with the tiny study."""
    shutil.copytree(ROOT / "fairshrink", tmp_path / "fairshrink", ignore=shutil.ignore_patterns("__pycache__"))
    write_data(tmp_path / "local", models=())
    write_study(tmp_path, study())
    return tmp_path


def keys(project: Path, cwd: Path | None = None, seed: str = "0", file: Path | None = None) -> dict[str, str]:
    """Key by path, computed in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(project), str(file or project / "config.yaml")],
        cwd=cwd or project,
        env={"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def keys_here(project: Path) -> dict[str, str]:
    """The same, computed in this process by the package that has not been edited."""
    return {path: each.key for path, each in grid.expand(studies.load(str(project / "config.yaml"))).items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Artifacts that would have to be recomputed, without their keys."""
    return {re.sub(r"-[0-9a-f]{12}", "", path) for path in set(after) - set(before)}


def edit(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert text.count(old) >= 1, f"{old!r} is not in {name}"
    path.write_text(text.replace(old, new, 1))


def test_same_keys_in_any_folder_process_and_order(project, tmp_path_factory):
    here = keys(project)
    assert len(here) > 80
    assert keys_here(project) == here
    assert keys(project, seed="42") == here
    assert keys(project, cwd=tmp_path_factory.mktemp("elsewhere")) == here
    reordered = yaml.safe_dump(yaml.safe_load((project / "config.yaml").read_text()), sort_keys=True)
    (project / "sorted.yaml").write_text(reordered)
    assert set(keys(project, file=project / "sorted.yaml").values()) == set(here.values())
    moved = tmp_path_factory.mktemp("moved") / "deep" / "er"
    shutil.copytree(project, moved)
    assert keys(moved) == here


def test_comments_and_docstrings_change_nothing(project):
    before = keys_here(project)
    for folder in ("compression", "metrics", "tasks", "sources", "stages", "compression_tools"):
        for path in (project / "fairshrink" / folder).glob("*.py"):
            text = path.read_text()
            path.write_text("# a comment\n" + text.replace('    """', '    """Said in another way: ', 1))
    assert keys(project) == before


def test_code_of_a_method_changes_its_cells_and_nothing_else(project):
    before = keys_here(project)
    edit(project, "fairshrink/compression/quantization/int8_dynamic.py", "def compress(", "def compress(_e=1, *, x=2, ")
    found = changed(before, keys(project))
    assert found == {each for each in found if "int8_dynamic" in each} | {"results/published/tiny"}
    checkpoints = {each for each in found if each.startswith("results/compressed/")}
    assert len(checkpoints) == 5
    assert {each.split("/")[2] for each in found if each.startswith("results/scores/")} == {
        each.split("/")[2] for each in checkpoints
    }


def test_code_of_a_control_that_is_not_stored_changes_its_scores_and_nothing_else(project):
    before = keys_here(project)
    assert not [each for each in before if each.startswith("results/compressed/") and "random_init" in each]
    edit(project, "fairshrink/compression/controls/random_init.py", "def compress(", "def compress(_extra=1, *, x=2, ")
    found = changed(before, keys(project)) - {"results/published/tiny"}
    assert found == {each for each in changed({}, before) if "random_init" in each}
    assert {each.split("/")[1] for each in found} == {"scores"}
    assert len({each.split("/")[2] for each in found}) == 6


def test_code_of_a_metric_changes_its_scores_and_nothing_else(project):
    before = keys_here(project)
    edit(project, "fairshrink/metrics/bias_nli/metric.py", 'LABELS = ("entailment", ', 'LABELS = (*(), "entailment", ')
    found = changed(before, keys(project))
    assert {each.rsplit("/", 1)[1] for each in found} == {"bias_nli", "tiny"}
    assert len(found) == 6 + 1


def test_summary_of_a_metric_changes_the_tables_alone(project):
    before = keys_here(project)
    edit(project, "fairshrink/metrics/bias_nli/metric.py", '"neutral_spread"', '"spread_of_neutral"')
    assert changed(before, keys(project)) == {"results/published/tiny"}


def test_word_lists_that_ship_count(project):
    before = keys_here(project)
    edit(project, "fairshrink/metrics/_shared/weat.json", "{", "{ ")
    found = changed(before, keys(project))
    assert {each.rsplit("/", 1)[1] for each in found} == {"weat", "tiny"}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda c: c["execution"].update(threads=7, checkpoints_per_job=1, device="auto"), set()),
        (lambda c: c["statistics"].update(level=0.9), {"published"}),
        (lambda c: c["metrics"].append({"metric": "sentiment_gap"}), {"scores", "published"}),
        (lambda c: c["metrics"][4].update(sample=36), {"scores", "published"}),
        (lambda c: c["compressions"][1].update(sparsity=0.5), {"compressed", "scores", "published"}),
        (lambda c: c["tasks"]["nli"].update(epochs=2), {"baselines", "compressed", "scores", "published"}),
        (lambda c: c.update(models={"other": c["models"]["bert"]} | {"llama": c["models"]["llama"]}), {"published"}),
    ],
)
def test_a_change_of_the_study_reaches_what_it_can_change(project, change, stages):
    content = study() | {"execution": {}}
    del content["compressions"][2]["models"]
    write_study(project, content)
    before = keys_here(project)
    change(content)
    write_study(project, content)
    after = keys_here(project)
    new = {path for path in after if after[path] not in before.values()}
    assert {path.split("/")[1] for path in new} == stages


def test_a_new_split_adds_its_own_chain_only(project):
    before = keys_here(project)
    content = study()
    content["tasks"]["sentiment"]["splits"] = [0, 1, 2]
    write_study(project, content)
    found = changed(before, keys_here(project)) - {"results/published/tiny"}
    assert found
    assert all("bert-sentiment-s2" in each for each in found)


def test_contents_of_local_data_count_not_their_location(project):
    before = keys_here(project)
    (project / "local" / "reviews.csv").rename(project / "local" / "other.csv")
    content = study()
    content["downloads"]["reviews"]["path"] = "local/other.csv"
    content["tasks"] = json.loads(json.dumps(content["tasks"]).replace("reviews.csv", "other.csv"))
    write_study(project, content)
    assert "data/reviews" in changed(before, keys_here(project))  # its file has another name, which tables refer to
    renamed = keys_here(project)
    path = project / "local/other.csv"
    path.write_text(path.read_text() + "Another film.,1.5\n")
    edited = keys_here(project)
    assert "data/reviews" in changed(renamed, edited)
    assert "data/pairs" not in changed(renamed, edited)


def test_settings_that_differ_look_different():
    """Tables take checkpoints of one method and one text for the splits of one setting."""
    values = [0.5, 0.5000001, 1 / 3, 0.333333, 1e-05, 1.0, 2.0]
    shown = [setting._short(value) for value in values]
    assert shown == ["0.5", "0.5000001", "0.3333333333333333", "0.333333", "1e-05", "1", "2"]


def test_tables_say_which_variant_of_a_metric_was_used(project):
    """By its data set, where it is not the default."""
    made = study()
    (pairs,) = [each for each in made["metrics"] if each["metric"] == "crows_pairs"]
    made["metrics"] += [pairs | {"name": "by_length", "causal": "without_start", "sample": 3}]
    write_study(project, made)
    scores = grid.expand(studies.load(str(project / "config.yaml"))).tables.job.scores
    named = {each.entry: each.dataset for each in scores}
    assert named["by_length"] == named["crows_pairs"] + "; causal: without_start"
