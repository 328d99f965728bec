"""ONNX files in their own runtime: its answers are those for each text alone, and what it cannot do is refused."""

import copy
import json
import math
import tomllib
from pathlib import Path

import numpy as np
import onnx_writer
import pytest
import torch
from gguf_files import write_gguf
from onnx_models import asked, exported, fused, rounded
from tiny import SENTENCES, tiny_bert, tiny_llama
from tiny_study import ROOT

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger, plain
from fairshrink.models.given import looking, reading, runtime
from fairshrink.models.inference import log_probs, outputs

LABELS = ("contradiction", "entailment", "neutral")
"""Those of the study; the file has them in another order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Tiny BERTs, each beside its ONNX file: float, rounded, fused."""
    made = tmp_path_factory.mktemp("models")
    for head, output in (("encoder", "last_hidden_state"), ("masked_lm", "logits"), ("classification", "logits")):
        source = tiny_bert(head, made / head)
        cp = checkpoints.load(source)
        for name, each in cp.model.named_parameters():
            if "LayerNorm" in name:  # equal ones would be one tensor of the file
                torch.nn.init.normal_(each, mean=1.0, std=0.1)
        checkpoints.save(cp, source)
        exported(cp, source / "model.onnx", output)
    rounded(made / "encoder" / "model.onnx", made / "encoder" / "rounded.onnx")
    fused(made / "encoder" / "rounded.onnx", made / "encoder" / "fused.onnx")
    return made


def original_of(folder: Path, head: str) -> checkpoints.Checkpoint:
    cp = checkpoints.load(folder / head)
    if head == "classification":
        cp.labels = LABELS
    return cp


def read(folder: Path, head: str, file: str = "model.onnx", own: bool = True) -> checkpoints.Checkpoint:
    original = original_of(folder, head)
    return reading.read(folder / head, file, original, names={}, trained=False, seed=0, own_runtime=own)


def tokens(cp, texts=SENTENCES, pairs=None):
    return cp.tokenizer(list(texts), pairs and list(pairs), return_token_type_ids=True)


def test_its_answers_are_those_of_the_model_it_was_exported_from(folder):
    model = original_of(folder, "encoder")
    own = read(folder, "encoder")
    assert not own.structure["own_runtime"]["alone"]
    for pooling in ("mean", "cls", "last", "mean_all"):
        ours, theirs = (outputs.sentence_embeddings(each, SENTENCES, pooling) for each in (own, model))
        assert np.abs(ours - theirs).max() < 1e-4 < np.abs(theirs).max()

    model, own = original_of(folder, "masked_lm"), read(folder, "masked_lm")
    sequences = tokens(model)["input_ids"]
    positions, targets = [2] * len(sequences), [7] * len(sequences)
    ours, theirs = (log_probs.masked_log_probs(each, sequences, positions, targets) for each in (own, model))
    assert np.abs(ours - theirs).max() < 1e-4
    again = log_probs.masked_log_probs(own, sequences, positions, targets)
    assert np.array_equal(ours, again)  # asking for logits of words leaves the model as it was

    compared = log_probs.compared_log_probs(
        own, model, sequences, [[1]] * 10, [[3]] * 10, lambda one, other, right: (one - other).abs().amax(1)[:, None]
    )
    assert compared.max() < 1e-4


def test_a_classifiers_labels_are_matched_by_name(folder):
    first, second = SENTENCES[:5], SENTENCES[5:]
    given = tokens(original_of(folder, "classification"), first, second)
    expected = asked(folder / "classification" / "model.onnx", given["input_ids"], given["token_type_ids"])
    found = outputs.sequence_logits(read(folder, "classification"), first, second)
    # entailment, neutral, contradiction in the file
    assert np.abs(found - np.stack(expected)[:, [2, 0, 1]]).max() < 1e-5


@pytest.mark.parametrize("file", ["rounded.onnx", "fused.onnx"])
def test_each_text_is_rounded_by_its_own_range(folder, file, tmp_path):
    own = read(folder, "encoder", file)
    assert own.structure["own_runtime"]["alone"]
    sequences = tokens(own)["input_ids"]
    expected = [each[0] for each in asked(folder / "encoder" / file, sequences)]
    found = outputs.sentence_embeddings(own, SENTENCES, "cls")
    assert np.abs(found - np.stack(expected)).max() < 1e-6
    for row in (0, 7):  # whatever else is in its batch
        assert np.array_equal(outputs.sentence_embeddings(own, [SENTENCES[row]], "cls")[0], found[row])
    checkpoints.save(own, tmp_path / "saved")
    for each in (checkpoints.load(tmp_path / "saved"), copy.deepcopy(own)):
        assert np.array_equal(outputs.sentence_embeddings(each, SENTENCES, "cls"), found)
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert "model.safetensors" not in names  # plain transformers finds nothing and says so


def test_decoded_weights_leave_out_how_activations_are_rounded(folder):
    decoded, own = read(folder, "encoder", "rounded.onnx", own=False), read(folder, "encoder", "rounded.onnx")
    one, other = (outputs.sentence_embeddings(each, SENTENCES, "mean") for each in (decoded, own))
    original = outputs.sentence_embeddings(original_of(folder, "encoder"), SENTENCES, "mean")
    assert 1e-4 < np.abs(one - other).max() < np.abs(original).max() / 4
    exact = reading.onnx_file.read(folder / "encoder" / "rounded.onnx")
    counts = [ledger.ledger(each, original_of(folder, "encoder")) for each in (decoded, own)]
    assert counts[0] == counts[1]
    assert counts[0]["bytes"] == sum(each.bits for each in exact.stored.values()) // 8


def test_the_ledger_of_what_cannot_be_decoded(folder):
    """Weights and operations of the architecture; bits those of the matrices; zeros are not known."""
    original = original_of(folder, "encoder")
    with pytest.raises(UserError, match=r"cannot be taken apart \(.*DynamicQuantizeMatMul.*\); write `runtime: own`"):
        read(folder, "encoder", "fused.onnx", own=False)
    counts, whole = (ledger.ledger(each, original) for each in (read(folder, "encoder", "fused.onnx"), original))
    for same in ("params", "prunable_params", "flops_per_token", "cache_bytes_per_token"):
        assert counts[same] == whole[same], same
    unfused = ledger.ledger(read(folder, "encoder", "rounded.onnx"), original)
    # Matrices that are fused have their scale beside them, those that are not have it elsewhere.
    assert unfused["effective_bits"] - 0.1 < counts["effective_bits"] <= unfused["effective_bits"]
    assert math.isnan(counts["zero_fraction_prunable"]) and math.isnan(counts["zero_fraction_total"])
    measured = ledger.measure(read(folder, "encoder", "fused.onnx"), original)
    assert measured["disk_bytes"] == counts["bytes"] and measured["latency_ms"] > 0


def test_results_do_not_depend_on_the_number_of_threads(folder):
    found = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found.append(outputs.sentence_embeddings(read(folder, "encoder", "rounded.onnx"), SENTENCES, "mean"))
        finally:
            torch.set_num_threads(before)
    assert np.array_equal(*found)


def test_what_it_does_not_show_is_refused(folder, tmp_path):
    sequences = tokens(original_of(folder, "encoder"))["input_ids"]
    with pytest.raises(UserError, match="cannot be seen or changed inside"):
        outputs.attention_received(read(folder, "encoder"), sequences)
    with pytest.raises(UserError, match="embeddings of texts cannot be had"):
        outputs.sentence_embeddings(read(folder, "masked_lm"), SENTENCES, "mean")
    with pytest.raises(UserError, match="hidden states cannot be had"):
        outputs.sentence_embeddings(read(folder, "classification"), SENTENCES, "mean")
    with pytest.raises(UserError, match="its own runtime computes it"):
        plain.write(read(folder, "encoder"), tmp_path)


def test_its_weights_have_no_values(folder):
    own = read(folder, "encoder")
    layer = own.model.encoder.layer[0].output.dense
    assert layer.weight.shape == (32, 48)
    with pytest.raises((RuntimeError, NotImplementedError)):
        layer.weight.abs().sum().item()
    assert [name for name, _ in own.model.named_parameters()] == ["own_runtime.graph"]


def test_another_version_or_none_is_refused_with_the_command_that_gets_it(folder, monkeypatch):
    monkeypatch.setattr(runtime, "VERSION", "1.0.0")
    with pytest.raises(UserError, match=r"scores are those of 1\.0\.0; pip install onnxruntime==1\.0\.0"):
        read(folder, "encoder")

    def absent(name: str) -> str:
        raise runtime.PackageNotFoundError(name)

    monkeypatch.setattr(runtime, "version", absent)
    with pytest.raises(UserError, match=r"is not installed; pip install onnxruntime==1\.0\.0"):
        read(folder, "encoder")


def test_the_version_is_that_of_the_lock_file_and_of_the_extra():
    assert f"\nonnxruntime=={runtime.VERSION} " in (ROOT / "envs" / "requirements.lock").read_text()
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["onnx"]
    assert f"onnxruntime=={runtime.VERSION}" in extra


def value(name: str, kind: int, *shape: int | str) -> bytes:
    """A description of an input or output."""
    block, number = onnx_writer.block, onnx_writer.number
    sizes = b"".join(block(1, number(1, each) if isinstance(each, int) else block(2, each)) for each in shape)
    return block(1, name) + block(2, block(1, number(1, kind) + block(2, sizes)))


def graph(path: Path, inputs: list[bytes], nodes: list[bytes], outputs: list[bytes], tensors: list[bytes]) -> Path:
    block = onnx_writer.block
    content = b"".join(block(1, each) for each in nodes) + block(2, "g") + b"".join(block(5, each) for each in tensors)
    content += b"".join(block(11, each) for each in inputs) + b"".join(block(12, each) for each in outputs)
    path.write_bytes(onnx_writer.number(1, 8) + block(7, content) + block(8, onnx_writer.number(2, 17)))
    return path


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([("input_ids", "b", "n")], [("sentence_embedding", "b", 32)], "the last hidden layer of every token"),
        (
            [("input_ids", "b", "n"), ("pixels", "b", "n")],
            [("states", "b", "n", 32)],
            "are known; export it with these",
        ),
        ([("input_ids", "b", 16)], [("states", "b", "n", 32)], "texts of any length are needed"),
        ([("input_ids", "b", "n")], [("states", "b", "n", 9)], "and its config says"),
    ],
)
def test_graphs_that_are_no_encoders_are_refused(inputs, outputs, reason, folder, tmp_path):
    """Rows of a table [words, width] as states, or the first of them as a vector of the text."""
    (name, *shape) = outputs[0]
    words = len(original_of(folder, "encoder").tokenizer)
    table = onnx_writer.stored("table", np.ones((words, shape[-1]), np.float32))
    nodes = [onnx_writer.node("Gather", ["table", "input_ids"], [name if len(shape) == 3 else "rows"])]
    if len(shape) == 2:
        nodes.append(onnx_writer.node("Gather", ["rows", "first"], [name], axis=1))
    path = graph(
        tmp_path / "model.onnx",
        [value(each[0], 7, *each[1:]) for each in inputs],
        nodes,
        [value(name, 1, *shape)],
        [table, onnx_writer.stored("first", np.zeros((), np.int64))],
    )
    with pytest.raises(UserError, match=reason):
        reading.read(
            path.parent, path.name, original_of(folder, "encoder"), names={}, trained=False, seed=0, own_runtime=True
        )


def test_what_has_no_runtime_here_is_refused_before_any_job(folder, tmp_path):
    def reasons(where, heads, file, trains=False):
        return looking.wrong(where, heads, file, trains=trains, originals=(), own_runtime=True)

    source = tiny_llama("causal_lm", tmp_path / "llama")
    write_gguf(checkpoints.load(source), tmp_path / "gguf" / "model.gguf")
    assert "llama.cpp" in reasons(tmp_path / "gguf", ["causal_lm"], "model.gguf")[0]
    assert "folder of safetensors" in reasons(source, ["causal_lm"], None)[0]
    assert "keeps a cache" in reasons(folder / "encoder", ["causal_lm"], "model.onnx")[0]
    assert "would be fine-tuned" in reasons(folder / "encoder", ["regression"], "model.onnx", trains=True)[0]
    assert reasons(folder / "encoder", ["encoder"], "fused.onnx") == []
    assert all("; " in each for each in reasons(source, ["causal_lm"], None))


def test_a_classifier_without_its_config_is_refused(folder, tmp_path):
    (tmp_path / "model.onnx").write_bytes((folder / "classification" / "model.onnx").read_bytes())
    given = {"names": {}, "trained": False, "seed": 0, "own_runtime": True}
    with pytest.raises(UserError, match=r"which output is which label is not known; add its config\.json"):
        reading.read(tmp_path, "model.onnx", original_of(folder, "classification"), **given)
    config = json.loads((folder / "classification" / "config.json").read_text())
    config["id2label"] = {"0": "yes", "1": "no", "2": "maybe"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"label2id": {"yes": 0, "no": 1, "maybe": 2}}))
    with pytest.raises(UserError, match="the model's labels are yes, no, maybe"):
        reading.read(tmp_path, "model.onnx", original_of(folder, "classification"), **given)
