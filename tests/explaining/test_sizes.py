"""What models take is told by the headers of their files, or by the number of weights that the study states."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from tiny_study import study as tiny
from tiny_study import write_data, write_study

from fairshrink.commands import main as commands
from fairshrink.explaining.sizes import line, sizes
from fairshrink.planning import grid, studies


def test_disk_and_memory_of_the_large_models_by_hand():
    study = studies.load("configs/llm.yaml")
    whole = grid.expand(study)
    made = [path for path, each in whole.items() if each.stage in ("finetune", "compress", "evaluate")]
    found = {each.model: each for each in sizes(study, whole, made)}
    model = found["qwen2_5_7b"]
    weights = study.models["qwen2_5_7b"].weights
    assert 7.5e9 < weights < 7.7e9
    # The model as it is, int8 and int4; two bytes a weight as stored, two copies of four bytes in memory.
    assert (model.checkpoints, model.disk, model.memory) == (3, 3 * 2 * weights, 2 * 4 * weights)
    assert "46 GB of disk; 61 GB of memory" in line(model)
    assert sizes(study, whole, [path for path in made if "qwen2_5_7b" not in path])[1].model == "pythia_1_4b"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_data(tmp_path / "local", models=())
    save_file({"a": torch.zeros(300, 1000), "b": torch.zeros(7)}, tmp_path / "local/bert/model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(capsys, folder, change=lambda content: None):
    content = copy.deepcopy(tiny())
    change(content)
    write_study(folder, content)
    with pytest.raises(SystemExit):
        commands.main(["plan"])
    return {line.split(":")[0].strip(): line for line in capsys.readouterr().out.splitlines() if "checkpoint" in line}


def test_models_whose_files_are_here_need_not_be_described(folder, capsys):
    loaded = studies.validate(tiny(), str(folder / "config.yaml"))
    whole = grid.expand(loaded)
    (bert,) = (each for each in sizes(loaded, whole, list(whole)) if each.model == "bert")
    made = [each for each in whole.values() if each.stage in ("finetune", "compress") and "/bert-" in each.path]
    assert (bert.checkpoints, bert.disk, bert.memory) == (len(made), len(made) * 4 * 300_007, 2 * 4 * 300_007)
    assert "2 MB of memory in a job" in line(bert)
    # What the files say goes before what the study says.
    said = plan(capsys, folder, lambda c: c["models"]["bert"].update(weights=9e9))
    assert "2 MB of memory in a job" in said["bert"]


def test_what_is_not_known_is_said(folder, capsys):
    hub = {"source": "hub", "repo": "a/b", "revision": "c" * 40, "files": ["config.json"]}
    change = [lambda c: c["downloads"].update(llama=hub), lambda c: c["models"]["llama"].update(weights=1e9)]
    said = plan(capsys, folder, change[0])
    assert "not known until its files are here, unless `models.llama.weights` says it" in said["llama"]
    assert "8.0 GB of memory" in plan(capsys, folder, lambda c: [each(c) for each in change])["llama"]


def test_a_study_is_read_and_expanded_once(folder, capsys, monkeypatch):
    calls = []
    for module, name in ((grid, "expand"), (studies, "load")):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, own=own, name=name: (calls.append(name), own(*given))[1])
    plan(capsys, folder, lambda c: c["models"]["bert"].update(weights=1e6))
    assert sorted(calls) == ["expand", "load"]
