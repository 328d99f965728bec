"""The hub as a source, with a local server and in a separate process, because its address is read on import."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest
from hub_server import fetched, hub_server
from pydantic import ValidationError

from fairshrink.sources import hub

REVISION = "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
CHILD = """
import json, sys, time
time.sleep = lambda seconds: None
from pathlib import Path
from fairshrink.errors import UserError
from fairshrink.sources import hub
answers = []
for number, settings in enumerate(json.loads(sys.argv[1])):
    target = Path(sys.argv[2]) / str(number)
    target.mkdir()
    try:
        answers.append(hub.fetch(hub.Settings(**settings), target, target))
    except UserError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    model, data = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("data")
    (model / "config.json").write_text('{"a": 1}')
    (model / "model.safetensors").write_bytes(random.Random(1).randbytes(300_000))
    (model / "pytorch_model.bin").write_bytes(b"pickle")
    (model / "modeling.py").write_text("1/0")
    for name in ("train-0[1].parquet", "validation-0.parquet"):
        (data / "mnli").mkdir(exist_ok=True)
        (data / "mnli" / name).write_bytes(name.encode())
    return {("model", "FacebookAI/roberta-base", REVISION): model, ("dataset", "nyu-mll/glue", "1" * 40): data}


def fetch(endpoint: str, settings: list[dict], folder: Path) -> list:
    return fetched(CHILD, endpoint, settings, folder, HF_HOME=str(folder / "home"))


def model(**changed) -> dict:
    return {"repo": "FacebookAI/roberta-base", "revision": REVISION, "files": ["config.json", "model*"]} | changed


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_models_and_data_sets_are_fetched_without_files_that_can_run_code(repositories, tmp_path):
    data = {"repo": "nyu-mll/glue", "repo_type": "dataset", "revision": "1" * 40, "files": ["mnli/train-*.parquet"]}
    expected = digests(repositories["model", "FacebookAI/roberta-base", REVISION])
    verified = {"config.json": expected["config.json"]}
    requests: list[str] = []
    with hub_server(repositories, log=requests) as endpoint:
        answers = fetch(endpoint, [model(sha256=verified), data], tmp_path)
    assert set(digests(tmp_path / "0")) == {"config.json", "model.safetensors"}
    assert all(digests(tmp_path / "0")[name] == expected[name] for name in ("config.json", "model.safetensors"))
    assert digests(tmp_path / "1") == {"mnli/train-0[1].parquet": hashlib.sha256(b"train-0[1].parquet").hexdigest()}
    assert answers[0]["files"] == digests(tmp_path / "0") and answers[0]["revision"] == REVISION
    assert not any("pytorch_model" in each or "validation" in each for each in requests)


def test_a_broken_connection_is_resumed(repositories, tmp_path):
    requests: list[str] = []
    with hub_server(repositories, failures=2, log=requests) as endpoint:
        fetch(endpoint, [model()], tmp_path)
    expected = digests(repositories["model", "FacebookAI/roberta-base", REVISION])
    assert digests(tmp_path / "0") == {name: expected[name] for name in ("config.json", "model.safetensors")}
    assert sum(each.startswith("GET") and "resolve" in each for each in requests) == 4


def test_mistakes_are_reported(repositories, tmp_path):
    wrong = [
        (model(repo="FacebookAI/roberta"), "repo: .* has no model 'FacebookAI/roberta'"),
        (model(repo_type="dataset"), "has no dataset 'FacebookAI/roberta-base'"),
        (model(revision="0" * 40), f"revision: 'FacebookAI/roberta-base' has no commit {'0' * 40}"),
        (model(files=["modle.safetensors"]), "nothing matches 'modle.safetensors'; .*model.safetensors"),
        (model(files=["pytorch_model*"]), "nothing matches .*only pytorch_model.bin, of no kind that is"),
        (model(max_gb=1e-9), "lists .* than the 1e-09 GB that it may have; .*write `max_gb: "),
        (model(sha256={"config.json": "0" * 64}), "config.json has the checksum"),
        (model(sha256={"confg.json": "0" * 64}), "sha256: 'confg.json' is not among the files"),
    ]
    with hub_server(repositories) as endpoint:
        answers = fetch(endpoint, [settings for settings, _ in wrong], tmp_path)
    for answer, (_, message) in zip(answers, wrong, strict=True):
        assert isinstance(answer, str) and re.search(message, answer, re.S), answer


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_arrives_is_compared_with_what_the_hub_lists(repositories, tmp_path, name):
    with hub_server(repositories, altered=[name]) as endpoint:
        (answer,) = fetch(endpoint, [model()], tmp_path)
    assert f"{name} arrived with" in answer and f"{endpoint} lists" in answer and "not kept" in answer


def test_an_unreachable_hub_is_reported(tmp_path):
    (answer,) = fetch("http://127.0.0.1:9", [model()], tmp_path)
    assert "http://127.0.0.1:9 did not serve it" in answer and "check the network and HF_ENDPOINT" in answer


def test_settings_reject_branches_and_files_that_can_run_code():
    hub.Settings(**model())
    for wrong in (
        {"revision": "main"},
        {"files": []},
        {"repo": "roberta-base"},
        *({"files": [f"*{ending}"]} for ending in (".bin", ".pkl", ".pt", ".py", ".PT")),
    ):
        with pytest.raises(ValidationError):
            hub.Settings(**model(**wrong))


def test_the_pin_is_commit_and_files():
    one = hub.pin(hub.Settings(**model()))
    assert one == hub.pin(hub.Settings(**model(files=["model*", "config.json"], sha256={"config.json": "0" * 64})))
    assert one != hub.pin(hub.Settings(**model(revision="0" * 40)))
    assert one != hub.pin(hub.Settings(**model(files=["config.json"])))
