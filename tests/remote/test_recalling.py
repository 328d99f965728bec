"""A local source that only its owner has: records say what it contained, as long as all else can be restored."""

import copy
import shutil

import clones
import pytest
from tiny_study import study, write_data, write_study

from fairshrink.planning import grid, studies, workflow
from fairshrink.remote import pointers, recalling
from fairshrink.stages import download
from fairshrink.study.mistakes import StudyError


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A clone in which the downloads were made and recorded; the local sources and the bytes here are gone."""
    root = clones.start(tmp_path / "ours")
    monkeypatch.chdir(root)
    write_data(root / "local", models=())
    content = copy.deepcopy(study())
    content["models"].pop("llama")
    content["downloads"].pop("llama")
    content["tasks"].pop("lm")
    content["metrics"][2]["tasks"] = ["mlm"]
    write_study(root, content)
    whole = grid.expand(studies.load("config.yaml"))
    made = [each for each in whole.values() if each.stage == "download"]
    download.run(made)
    pointers.record([each.path for each in made])
    for each in made:
        shutil.rmtree(root / each.path)
    shutil.rmtree(root / "local")
    return root, whole


def test_keys_are_those_of_the_owner(shared):
    _, whole = shared
    assert dict(grid.expand(studies.load("config.yaml"))) == dict(whole)
    made = workflow.make("config.yaml")
    assert not made.of("download")
    assert len(made.of("restore")[0].artifacts) == 4


def test_without_bytes_the_source_is_missing(shared):
    root, whole = shared
    (path,) = (each.path for each in whole.values() if each.name == "reviews")
    pointers.pointer(root / path).unlink()
    with pytest.raises(StudyError) as caught:
        studies.load("config.yaml")
    assert [each.key for each in caught.value.mistakes] == ["downloads.reviews"]


def test_what_has_to_be_copied_has_to_be_there(shared):
    with pytest.raises(StudyError, match="not all can be restored") as caught:
        workflow.make("config.yaml", restore="never")
    assert {each.key for each in caught.value.mistakes} == {
        f"downloads.{name}" for name in ("bert", "reviews", "pairs", "benchmarks")
    }


def test_the_newest_record_counts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number, day in (("1", "2026-01-02"), ("2", "2026-01-10"), ("3", "2026-01-01")):
        folder = tmp_path / f"data/m-{number * 12}"
        folder.mkdir(parents=True)
        parts = {"stage": "download", "params": {"source": "local", "pin": {"files": {"a": number}}}}
        record = {"parts": parts, "made": {"finished": f"{day}T00:00:00Z"}, "files": {}}
        (folder / "provenance.json").write_text(recalling.json.dumps(record))
    assert recalling.pin_of("m") == {"files": {"a": "2"}}
    assert "of 3 recorded versions" in capsys.readouterr().err
    assert recalling.pin_of("other") is None
