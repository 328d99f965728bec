"""What has no record is estimated from the machine's speed; what is left of a run is corrected by what is done."""

import json
from pathlib import Path

import pytest
import tiny
from safetensors import safe_open
from tiny_study import study, write_data, write_study

from fairshrink.explaining import records, remaining, report, speed
from fairshrink.models import folder as model_folder
from fairshrink.planning import grid, plan, studies


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("speed")
    write_data(made / "local")
    write_study(made, study())
    return made


@pytest.fixture
def whole(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return grid.expand(studies.load("config.yaml"))


def counted(place: Path) -> int:
    """How many numbers a model's file holds, one tensor at a time."""
    with safe_open(place / "model.safetensors", framework="np") as file:
        return sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118


def test_weights_are_counted_by_the_headers_of_files(folder, tmp_path):
    one = counted(folder / "local/bert")
    assert model_folder.weights(folder / "local/bert") == one > 10_000
    tiny.in_one_file(tiny.tiny_bert("masked_lm", tmp_path / "m", max_position_embeddings=64))
    (tmp_path / "m/model.safetensors").rename(tmp_path / "m/model-1.safetensors")
    assert model_folder.weights(tmp_path / "m") is None
    parts = {"weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors"}}
    (tmp_path / "m/model.safetensors.index.json").write_text(json.dumps(parts))
    assert model_folder.weights(tmp_path / "m") == one


def test_the_rate_is_that_of_a_processor():
    assert 1e7 < speed.rate() < 1e13


def test_times_from_the_speed_are_those_of_the_formula(folder, whole):
    guess = speed.Guess(whole, 1e9, {}, whole.local)
    weights = counted(folder / "local/bert")
    store, per_token = weights * 1e-7, weights / (0.4 * 1e9)
    by_name = {each.name: guess.seconds(path) for path, each in whole.items() if each.stage in ("finetune", "compress")}
    rows = int((folder / "local/reviews.csv").stat().st_size / 100)
    assert by_name["bert-sentiment-s0"] == pytest.approx(store + 6 * per_token * rows * 32)
    assert by_name["bert-similarity"] == pytest.approx(store)
    assert by_name["bert-nli-s0-magnitude_global-sparsity0.5"] == pytest.approx(store)
    assert by_name["bert-nli-s0-head_pruning-sparsity0.25"] == pytest.approx(store + 6 * per_token * 500 * 32)
    for path, each in whole.items():
        if each.stage == "evaluate" and "/bert-" in path:
            items = 72 if each.name == "bias_nli" else each.job.settings.get("sample") or 500
            assert guess.seconds(path) == pytest.approx(store + 2 * per_token * items * 10), path
        if each.stage == "download":
            assert guess.seconds(path) is None


def test_a_model_that_is_not_here_has_the_weights_that_the_study_names(whole):
    (path,) = [path for path, each in whole.items() if each.name == "bert-similarity"]
    elsewhere = {each: Path("/nowhere") for each in whole.local}
    assert speed.Guess(whole, 1e9, {}, elsewhere).seconds(path) is None
    assert speed.Guess(whole, 1e9, {"bert": 3e9}, elsewhere).seconds(path) == pytest.approx(300)


def test_a_fresh_clone_says_how_long_and_that_it_is_an_estimate(whole, monkeypatch):
    monkeypatch.setattr(speed, "rate", lambda: 1e9)
    loaded = studies.load("config.yaml")
    made = plan.make(whole, "tiny")
    found = report.explain(made, whole, records.read(), remaining.guess_of(loaded, whole))
    for stage, each in found["estimates"].items():
        assert (each.unknown, each.guessed) == ((each.count, 0) if stage == "download" else (0, each.count))
    text = report.as_text(found, whole)
    assert "of them an estimate from this machine's speed" in text
    assert "off by a factor of three" in text
    monkeypatch.setattr(speed, "rate", lambda: None)
    found = report.explain(made, whole, records.read(), remaining.guess_of(loaded, whole))
    assert all(each.guessed == 0 for each in found["estimates"].values())


def test_what_is_left_is_corrected_by_what_is_done():
    expected = {"a": 10.0, "b": 30.0, "c": 60.0}
    assert remaining.left(expected, set(), 1, 0.0) == 100.0
    assert remaining.left(expected, set(), 2, 0.0) == 50.0
    # 40 of 100 s are done and took 80 s: the other 60 take 120.
    assert remaining.left(expected, {"a", "b"}, 1, 80.0) == pytest.approx(120.0)
    assert remaining.left(expected, {"a", "b"}, 2, 80.0) == pytest.approx(120.0)
    assert remaining.left(expected, {"a", "b", "c"}, 1, 200.0) == 0.0


def test_a_run_says_what_is_left_when_it_begins(whole, monkeypatch, capfd):
    monkeypatch.setattr(speed, "rate", lambda: 1e9)
    monkeypatch.setattr(remaining, "EVERY_S", 0.0)
    made = plan.make(whole, "tiny")
    looked = []  # the first that is looked at is missing once
    monkeypatch.setattr(remaining.artifacts, "exists", lambda path: bool(looked) or bool(looked.append(path)))
    remaining._tell("config.yaml", made, 1)
    first, second = capfd.readouterr().err.splitlines()[:2]
    assert " artifacts to make, about " in first
    assert "from this machine's speed, without 5 whose time is not known" in first
    assert " artifacts made, about " in second and second.endswith(" left of the run")
