"""Why something is computed, how long it will take, and where a number comes from."""

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path

import clones
import pandas as pd
import pytest
import servers
from tiny_study import study, write_data, write_study

from fairshrink.errors import UserError
from fairshrink.explaining import cell, records, report
from fairshrink.explaining.differences import code, differences
from fairshrink.planning import grid, plan
from fairshrink.planning import studies as studies
from fairshrink.planning.artifact import Artifact
from fairshrink.remote import pointers, sharing


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    write_data(folder / "local")
    return folder


@pytest.fixture
def folder(data, tmp_path):
    (tmp_path / "local").symlink_to(data / "local")
    return tmp_path


def expand(folder: Path, content: dict) -> dict:
    write_study(folder, content)
    return grid.expand(studies.load(folder / "config.yaml"))


def record(folder: Path, artifact, wall_s: float = 1.0, gpus: int = 0, **more) -> None:
    """An artifact as if it had been made on this machine."""
    path = folder / artifact.path
    path.mkdir(parents=True, exist_ok=True)
    made = {"wall_s": wall_s, "gpus": gpus, "host": "node7", "device": "A100", "git_commit": "c0ffee", "python": "3.11"}
    made |= {"finished": "2026-01-01T00:00:00Z", "packages": {"torch": "2.13.0"}}
    value = {"key": artifact.key, "name": artifact.name, "stage": artifact.stage, "parts": artifact.parts}
    (path / "provenance.json").write_text(json.dumps(value | {"made": made, "files": {}} | more))


def another(artifact: Artifact, key: str, parts: dict) -> Artifact:
    """One of the same name with another key."""
    recipe = replace(artifact.recipe, key=key, path=artifact.path[:-12] + "0" * 12, parts=parts)
    return replace(artifact, recipe=recipe)


def explained(folder: Path, new: dict, fetchable=lambda paths: set()):
    made = plan.make(
        new, "tiny", exists=lambda marker: (folder / marker).is_file(), fetchable=lambda paths: fetchable(paths)
    )
    return report.explain(made, new, records.read(folder))


def summarized(found: dict) -> list[tuple[str, int, list[str]]]:
    return [(each.stage, len(each.paths), [str(d) for d in each.differences]) for each in found["reasons"]]


def all_recorded(folder: Path, content: dict, **more) -> dict:
    made = expand(folder, content)
    for artifact in made.values():
        record(folder, artifact, **more)
    return made


def test_nothing_to_do(folder):
    made = all_recorded(folder, study())
    found = explained(folder, made)
    assert summarized(found) == []
    assert report.as_text(found, made) == "study tiny: everything is up to date, nothing to do"


def test_a_changed_parameter_is_named_with_both_values_and_its_consequences_as_such(folder):
    all_recorded(folder, study())
    content = study()
    content["compressions"][1]["sparsity"] = 0.3
    new = expand(folder, content)
    baselines = 4  # sentiment on two splits, mlm, nli
    scores = sum(each.stage == "evaluate" and "-head_pruning-" in each.path for each in new.values())
    assert summarized(explained(folder, new)) == [
        ("compress", baselines, ["settings.sparsity: 0.25 → 0.3"]),
        ("evaluate", scores, ["its checkpoint is recomputed: see above"]),
        ("aggregate", 1, ["its scores are recomputed: see above"]),
    ]
    text = report.as_text(explained(folder, new), new)
    why = "    why: settings.sparsity: 0.25 → 0.3\n"
    assert f"  4 compressed checkpoints:\n{why}    bert-sentiment-s0-head_pruning-sparsity0.3\n" in text
    assert f"  {scores} score tables:\n    why: its checkpoint is recomputed\n" in text
    assert f"    … and {scores - 3} more\n" in text
    assert max(map(len, text.splitlines())) <= 100


def test_changed_code_is_named_by_file_and_function_and_data_by_file(folder):
    made = expand(folder, study())
    for artifact in made.values():
        old = copy.deepcopy(artifact.parts)
        if artifact.name == "weat":
            old["code"] |= {"read_tests": "0" * 16, "gone": "1" * 16, "file:weat.json": "2" * 16, "<links>": "3" * 16}
            fake = another(artifact, "old", old)
            record(folder, fake)
        elif artifact.stage != "aggregate":
            record(folder, artifact)
    (scores, published) = summarized(explained(folder, made))
    assert scores[:2] == ("evaluate", 5)
    assert sorted(scores[2]) == [
        "fairshrink/metrics/_shared/association.py: read_tests changed",
        "fairshrink/metrics/_shared/weat.json: changed",
        "gone no longer used",
    ]
    assert published == ("aggregate", 1, ["new: there is no similar artifact"])


FILES = {("f", "2"): "p/a.py", ("f", "4"): "p/b.py", ("g", "2"): "p/a.py", ("h", "1"): "p/c.py", ("i", "1"): "p/a.py"}


def changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    return report.why(code(old, new, FILES))


def test_definitions_of_one_file_share_a_line():
    old = {"f": "1", "g": "1", "h": "1", "<links>": "1"}
    new = {"f": "2", "g": "2", "i": "1", "<links>": "2"}
    assert changes(old, new) == ["p/a.py: f, g changed", "p/c.py: h no longer used", "p/a.py: i new"]


def test_of_several_definitions_of_one_name_the_changed_one_is_reported():
    assert changes({"f": "2+3"}, {"f": "2+4"}) == ["p/b.py: f changed"]
    assert changes({"f": "2"}, {"f": "2+4"}) == ["p/b.py: f new"]
    assert changes({"f": "2+5"}, {"f": "2"}) == ["f no longer used"]
    assert changes({"f": "2+2"}, {"f": "2"}) == ["p/a.py: f no longer used"]


def test_names_that_refer_to_something_else_are_reported_where_no_definition_changed():
    assert changes({"f": "2", "<links>": "1"}, {"f": "2", "<links>": "2"}) == ["what names refer to changed"]


def test_parameters_come_before_code():
    old, new = ({"params": {"p": p}, "code": {"f": str(p)}, "inputs": {}} for p in (1, 2))
    assert report.why(differences(old, new, {})) == ["p: 1 → 2", "f changed"]


def test_changed_data_are_named_as_the_input_that_differs(folder, data):
    all_recorded(folder, study())
    (folder / "local").unlink()
    write_data(folder / "local")
    reviews = folder / "local/reviews.csv"
    reviews.write_text(reviews.read_text().replace("0.", "1.", 1))
    new = expand(folder, study())
    found = summarized(explained(folder, new))
    assert found[0][0] == "download"
    assert found[0][2][0].startswith("pin.")
    assert {each[2][0] for each in found[1:] if each[0] == "finetune"} == {"its data are recomputed: see above"}


def test_an_added_split_is_new_although_others_are_similar(folder):
    all_recorded(folder, study())
    content = study()
    content["tasks"]["sentiment"]["splits"] = [0, 1, 5]
    new = expand(folder, content)
    found = summarized(explained(folder, new))
    assert found[0] == ("finetune", 1, ["task.split: 0 → 5", "task.seed: 3 → 8"])
    assert {each[0] for each in found} == {"finetune", "compress", "evaluate", "aggregate"}


def test_restored_artifacts_are_listed_separately(folder):
    made = expand(folder, study())
    downloads = {path for path, each in made.items() if each.stage == "download"}
    found = explained(folder, made, fetchable=lambda paths: paths & downloads)
    assert sorted(found["restored"]["download"]) == sorted(downloads)
    assert "To restore, from DVC's cache or remote:\n  5 downloads\n" in report.as_text(found, made)


def test_recorded_artifacts_whose_bytes_are_lost_are_reported_as_such(folder):
    made = all_recorded(folder, study())
    recorded = [records.Record(each.path, each.value, here=False) for each in records.read(folder)]
    plan_of_all = plan.make(made, "tiny", exists=lambda marker: False)
    reasons = report.explain(plan_of_all, made, recorded)["reasons"]
    text = ["missing: recorded, but its bytes are not available or restoring is switched off"]
    assert [[str(d) for d in each.differences] for each in reasons] == [text] * 5


def test_every_kind_of_difference_against_a_worked_example():
    old = {
        "params": {"a": {"b": 1, "c": [1, 2]}, "gone": 0},
        "code": {"f": "1", "on import": "1"},
        "inputs": {"checkpoint": "k1", "train": "k2"},
    }
    new = {
        "params": {"a": {"b": 2, "c": [1, 3]}, "come": None},
        "code": {"f": "2", "g": "1"},
        "inputs": {"checkpoint": "k1", "train": "k3"},
    }
    names = {"k2": "data", "k3": "data"}
    assert [str(each) for each in differences(old, new, names)] == [
        "a.b: 1 → 2",
        "a.c: [1, 2] → [1, 3]",
        "gone: removed (was 0)",
        "come: new, null",
        "f changed",
        "g new",
        "code that runs on import no longer used",
        "data: k2 → k3",
    ]
    assert differences(new, new, names) == []


def test_times_are_medians_of_the_most_similar_records_and_gpu_time_is_separate(folder):
    made = expand(folder, study())
    times = {"bert-sentiment-s0": (10.0, 0), "bert-sentiment-s1": (30.0, 0), "bert-nli-s0": (3600.0, 2)}
    for artifact in made.values():
        if artifact.name in times:
            seconds, gpus = times[artifact.name]
            fake = another(artifact, "o", artifact.parts)
            record(folder, fake, seconds, gpus)
    found = explained(folder, made)["estimates"]
    # The two of sentiment: median of 10 and 30 each. nli: 3600 s on two GPUs. mlm, similarity and lm have no
    # similar record: the median of all three of the stage, 30 s, on the median of 0, 0, 2 GPUs.
    assert found["finetune"].count == 6
    assert found["finetune"].unknown == 0
    assert found["finetune"].cpu_s == pytest.approx(20 + 20 + 3 * 30)
    assert found["finetune"].gpu_s == pytest.approx(7200)
    assert found["compress"].unknown == found["compress"].count > 0
    text = report.as_text(explained(folder, made), made)
    assert "GPU hours: 2.00" in text
    assert "2 min 10 s on CPU, 2 h 00 min on GPU" in text
    assert "time unknown" in text


def results(made: dict) -> pd.DataFrame:
    rows = []
    for artifact in made.values():
        if artifact.stage == "evaluate":
            checkpoint = made[artifact.inputs["checkpoint"]]
            rows.append(
                asdict(checkpoint.job.identity) | {"metric": artifact.name, "statistic": "s", "key": checkpoint.key}
            )
    return pd.DataFrame(rows).assign(value=0.5, ci_low=0.4, ci_high=0.6, n_items=9, group="all", dataset="d")


def test_a_cell_is_traced_to_every_artifact_behind_it(folder):
    made = expand(folder, study())
    rows = cell.parse(
        ["model=bert", "task=nli", "method=head_pruning", "sparsity=.250", "metric=bias_nli"], results(made)
    )
    assert len(rows) == 1
    (score,) = [
        path for path in made if path.startswith("results/scores/bert-nli-s0-head_pruning-") and "/bias_nli-" in path
    ]
    checkpoint = made[score].inputs["checkpoint"]
    baseline = made[checkpoint].inputs["checkpoint"]
    kept = {"key": made[checkpoint].key, "made": {"host": "gpu3", "git_commit": "beef", "wall_s": 5.0}}
    record(folder, made[score], checkpoint=kept)
    described = cell.describe(rows, made, records.read(folder))
    found = {each["path"]: each for each in described["artifacts"]}
    assert {score, checkpoint, baseline, *made[baseline].inputs.values()} <= set(found)
    assert set(found) == {score, checkpoint, baseline} | {p for p in found if p.startswith("data/")}
    assert found[score]["host"] == "node7"
    assert (found[checkpoint]["host"], found[checkpoint]["git_commit"]) == ("gpu3", "beef")
    assert not found[baseline]["known"]
    text = cell.as_text(described)
    assert "0.5  [0.4, 0.6]  from 9 items" in text
    assert "commit c0ffee, 2026-01-01T00:00:00Z, 1.0 s" in text
    assert "machine node7 (A100), Python 3.11" in text
    assert "torch 2.13.0" in text
    assert "not on this machine" in text


def test_a_clone_compares_with_artifacts_recorded_by_others(tmp_path):
    ours = clones.start(tmp_path / "git" / "ours")
    made = [clones.make(ours, place, "x") for place in ("data", "results/compressed", "results/scores/c-0123456789ab")]
    pointers.record(made, root=ours)
    clones.commit(ours)
    (tmp_path / "store").mkdir()
    clones.configure(ours, servers.Remote(str(tmp_path / "store")))
    sharing.share([], ours)
    theirs = clones.clone(ours, "theirs")
    found = records.fetch(records.read(theirs), theirs)
    assert [each.path for each in found] == sorted(made)
    assert [each.value for each in found] == [each.value for each in records.read(ours)]
    assert not any(each.here for each in found)
    weights = (ours / made[0] / "model.bin").read_bytes()
    assert weights not in clones.cached(theirs).values()
    assert records.fetch(records.read(ours), ours) == []
    (tmp_path / "store").rename(tmp_path / "away")
    assert len(records.fetch([], theirs)) == 3
    assert records.fetch([], clones.clone(ours, "third")) == []


def test_wrong_conditions_are_reported_with_the_known_names(folder):
    table = results(expand(folder, study()))
    with pytest.raises(UserError, match="did you mean 'method'"):
        cell.parse(["methd=heads"], table)
    with pytest.raises(UserError, match="did you mean 'head_pruning'"):
        cell.parse(["method=head"], table)
    with pytest.raises(UserError, match="write column=value"):
        cell.parse(["heads"], table)


def test_a_missing_table_is_reported(tmp_path):
    with pytest.raises(UserError, match="run the study"):
        cell.results(tmp_path / "results.parquet")
    for content in (b"", b"PAR1 half of a table"):
        (tmp_path / "results.parquet").write_bytes(content)
        with pytest.raises(UserError, match=r"results\.parquet is damaged \(.*make verify"):
            cell.results(tmp_path / "results.parquet")
