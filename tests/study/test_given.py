"""Given checkpoints in a study: what their jobs are, what their keys depend on, and what is refused before any job."""

import json
import shutil

import onnx_writer
import pytest
from tiny import tiny_bert
from tiny_study import stub_model, study, write_data, write_study

from fairshrink.planning import grid, studies
from fairshrink.study.mistakes import StudyError

GIVEN = {"method": "given", "download": "small", "models": ["bert"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("given")
    write_data(made / "local", models=())
    stub_model(made / "local" / "small", "distilbert")
    quantized = stub_model(made / "local" / "quantized")
    said = {"model_type": "bert", "quantization_config": {"quant_method": "gptq", "bits": 4}}
    (quantized / "config.json").write_text(json.dumps(said))
    shutil.copytree(quantized, made / "local" / "unreadable")
    said["quantization_config"] = {"quant_method": "hqq"}
    (made / "local" / "unreadable" / "config.json").write_text(json.dumps(said))
    return made


def content(*compressions, **renamed):
    """The tiny study of one encoder on a trained task and on one that is not."""
    made = study() | {"compressions": list(compressions), "controls": []}
    made["models"] = {"bert": made["models"]["bert"] | {"tasks": ["sentiment", "similarity"]}}
    made["tasks"] = {name: made["tasks"][name] for name in ("sentiment", "similarity")}
    made["tasks"]["sentiment"] = made["tasks"]["sentiment"] | {"splits": [0]}
    made["metrics"] = [{"metric": "task_score", "tasks": ["sentiment"]}, {"metric": "weat", "tasks": ["similarity"]}]
    for name in ("small", "quantized", "unreadable"):
        made["downloads"][renamed.get(name, name)] = {"source": "local", "path": f"local/{name}"}
    return made


def expanded(folder, made):
    write_study(folder, made)
    return grid.expand(studies.load(folder / "config.yaml"))


def compressed(made):
    return [each for each in made.values() if each.stage == "compress"]


def mistakes(folder, *compressions):
    with pytest.raises(StudyError) as caught:
        expanded(folder, content(*compressions))
    return {each.key: f"{each.reason}: {each.remedy}" for each in caught.value.mistakes}


def test_it_is_trained_where_its_original_is_and_used_as_it_is_elsewhere(folder):
    made = expanded(folder, content(GIVEN))
    trained, ready = compressed(made)
    assert trained.job.model.trained and trained.job.task.name == "sentiment" and trained.trains
    assert not ready.job.model.trained and ready.job.task is None and not ready.trains
    source = next(path for path in made if path.startswith("data/small-"))
    for each in (trained, ready):
        assert each.job.model.path == f"{source}/."
        assert each.inputs["brought"] == source
        assert each.inputs["checkpoint"] == each.job.checkpoint
        assert each.job.identity.setting == "download=small"
        assert each.job.identity.method_family == "given_checkpoints"
    assert "train" in trained.inputs and "train" not in ready.inputs
    (used,) = compressed(expanded(folder, content(GIVEN | {"finetune": False, "tasks": ["sentiment"]})))
    assert used.job.task is None and not used.job.model.trained


def test_keys_know_the_checkpoint_and_not_what_the_study_calls_it(folder):
    keys = {each.key for each in compressed(expanded(folder, content(GIVEN)))}
    called = content(GIVEN | {"download": "distilled"}, small="distilled")
    assert {each.key for each in compressed(expanded(folder, called))} == keys
    config = folder / "local" / "small" / "config.json"
    before = config.read_text()
    config.write_text(before + "\n")
    try:
        other = {each.key for each in compressed(expanded(folder, content(GIVEN)))}
    finally:
        config.write_text(before)
    assert not other & keys


def test_what_cannot_be_read_or_compared_is_refused_when_the_study_is_read(folder):
    found = mistakes(folder, GIVEN | {"download": "smal"})
    assert "did you mean 'small'" in found["compressions.given.download"]
    found = mistakes(folder, GIVEN | {"download": "quantized", "tasks": ["sentiment"]})
    assert "would be fine-tuned" in found["compressions.given"]
    expanded(folder, content(GIVEN | {"download": "quantized", "tasks": ["similarity"]}))
    found = mistakes(folder, GIVEN | {"download": "unreadable", "tasks": ["similarity"]})
    assert "stored quantized (hqq)" in found["compressions.given"]
    found = mistakes(folder, GIVEN | {"file": "model.onnx", "tasks": ["similarity"]})
    assert "there is no file 'model.onnx'" in found["compressions.given.file"]
    found = mistakes(folder, {"chain": [GIVEN | {"models": None}, {"method": "int8_dynamic"}]})
    assert found


def test_another_vocabulary_is_refused_when_the_study_is_read(folder):
    tiny_bert("encoder", folder / "local" / "worded")
    words = json.loads((folder / "local" / "worded" / "tokenizer.json").read_text())
    words["model"]["vocab"] |= {"kind": words["model"]["vocab"]["##er"], "##er": words["model"]["vocab"]["kind"]}
    shutil.copytree(folder / "local" / "worded", folder / "local" / "others")
    (folder / "local" / "others" / "tokenizer.json").write_text(json.dumps(words))
    made = content(GIVEN | {"download": "others", "tasks": ["similarity"]})
    made["downloads"] |= {name: {"source": "local", "path": f"local/{name}"} for name in ("worded", "others")}
    made["models"]["bert"]["download"] = "worded"
    with pytest.raises(StudyError, match=r"it has another vocabulary than .*: 2 of the"):
        expanded(folder, made)
    made["compressions"] = [GIVEN | {"download": "worded", "tasks": ["similarity"]}]
    expanded(folder, made)


def test_a_file_can_be_a_row_by_its_weights_and_another_by_its_own_runtime(folder):
    made = folder / "local" / "ran"
    shutil.copytree(folder / "local" / "small", made, dirs_exist_ok=True)
    onnx_writer.write(made / "model.onnx", [onnx_writer.node("QLinearMatMul", ["a"], ["b"])], [])
    entry = GIVEN | {"download": "ran", "file": "model.onnx", "tasks": ["similarity"]}
    found = content(entry | {"runtime": "own"})
    found["downloads"]["ran"] = {"source": "local", "path": "local/ran"}
    (own,) = compressed(expanded(folder, found))
    assert own.job.settings["runtime"] == "own"
    # What only its runtime computes cannot be decoded.
    for runtime in ("decoded", ["decoded", "own"]):
        write_study(folder, found | {"compressions": [entry | {"runtime": runtime}]})
        with pytest.raises(StudyError, match="cannot be taken apart"):
            grid.expand(studies.load(folder / "config.yaml"))
    onnx_writer.write(made / "model.onnx", [onnx_writer.node("MatMul", ["a"], ["b"])], [])
    both = compressed(expanded(folder, found | {"compressions": [entry | {"runtime": ["decoded", "own"]}]}))
    assert len({each.key for each in both}) == 2
    assert [each.job.identity.setting for each in both] == [f"download=ran,runtime={x}" for x in ("decoded", "own")]
    found["compressions"] = [GIVEN | {"download": "ran", "runtime": "own", "tasks": ["similarity"]}]
    write_study(folder, found)
    with pytest.raises(StudyError, match="leave `runtime` out"):
        grid.expand(studies.load(folder / "config.yaml"))
