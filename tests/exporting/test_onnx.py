"""What `export --format onnx` writes gives, in onnxruntime alone, the checkpoint's own outputs, or is refused."""

import copy
import json

import numpy as np
import onnxruntime
import pytest
import torch
from compression_case import compress, tiny
from every_architecture import checkpoint as of_architecture

from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.exporting.formats import onnx
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.given import onnx_file, reading
from fairshrink.models.inference.outputs import sentence_embeddings

TEXTS = ("The doctor helped the patient because she was kind.", "He said no.")


def stored(cp, folder):
    checkpoints.save(cp, folder)
    (folder / "provenance.json").write_text(json.dumps({"key": "0123456789ab", "ledger": {}}))
    return folder


def session(folder):
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])


def alike(cp, folder) -> None:
    """Its file gives what the model gives, of a longer batch than it was made with, one text padded."""
    ran, output = session(folder), "last_hidden_state" if cp.head == "encoder" else "logits"
    batch = cp.tokenizer([*TEXTS, TEXTS[0]], padding=True, return_tensors="pt", return_token_type_ids=True)
    batch["token_type_ids"][:, 3:] = 1
    inputs = {each.name: batch[each.name] for each in ran.get_inputs()}
    with torch.inference_mode():
        expected = getattr(cp.model(**inputs), output).numpy()
    (found,) = ran.run([output], {name: value.numpy() for name, value in inputs.items()})
    real = batch["attention_mask"].bool().numpy() if expected.ndim == 3 else slice(None)
    assert np.abs(found[real] - expected[real]).max() < 1e-4 * max(1.0, np.abs(expected).max())
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize(
    ("name", "method", "settings"),
    [
        ("bert", "random_heads", {"sparsity": 0.25}),
        ("roberta", "int8_weight_only", {}),
    ],
)
def test_the_runtime_gives_the_same_outputs(name, method, settings, tmp_path):
    cp = compress(method, tiny(name, tmp_path), **settings)
    written = exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "out", form="onnx")
    assert "run by onnxruntime" in written.said
    alike(checkpoints.load(tmp_path / "stored"), tmp_path / "out")
    assert "One ONNX file" in (tmp_path / "out" / "README.md").read_text()
    assert (tmp_path / "out" / "config.json").is_file() and (tmp_path / "out" / "tokenizer.json").is_file()


@pytest.mark.parametrize("name", ["distilbert", "modernbert"])
def test_other_encoders_are_written(name, tmp_path):
    cp = copy.deepcopy(of_architecture(name, "encoder"))
    exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "out", form="onnx")
    alike(cp, tmp_path / "out")


def test_factors_stay_small_and_the_file_can_be_given(tmp_path):
    cp = tiny("bert", tmp_path, "encoder")
    small = compress("svd", tiny("bert", tmp_path, "encoder"), parameters_kept=0.25)
    sizes = {}
    for what, each in (("whole", cp), ("factors", small)):
        exporting.export(stored(each, tmp_path / f"{what}-stored"), tmp_path / what, form="onnx")
        graph = onnx_file.read(tmp_path / what / "model.onnx")
        sizes[what] = sum(tensor.size for tensor in graph.stored.values())
    saved = sum(one.numel() for one in cp.model.parameters()) - sum(one.numel() for one in small.model.parameters())
    assert saved > 1000
    assert sizes["whole"] - sizes["factors"] == pytest.approx(saved, abs=100)
    given = reading.read(tmp_path / "factors", "model.onnx", cp, names={}, trained=False, seed=0, own_runtime=True)
    ours, theirs = (sentence_embeddings(each, TEXTS, "mean") for each in (given, small))
    assert np.abs(ours - theirs).max() < 1e-4


def test_what_an_onnx_file_cannot_hold_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    llama = stored(tiny("llama", tmp_path), tmp_path / "llama")
    with pytest.raises(UserError, match="write `--format gguf`"):
        exporting.export(llama, tmp_path / "out", form="onnx")
    rounded = compress("int8_dynamic", tiny("bert", tmp_path))
    with pytest.raises(UserError, match="rounds its inputs"):
        exporting.export(stored(rounded, tmp_path / "rounded"), tmp_path / "out", form="onnx")
    bert = stored(tiny("bert", tmp_path), tmp_path / "bert")
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"written by no_such_package: pip install 'fairshrink\[onnx\]'"):
        exporting.export(bert, tmp_path / "out", form="onnx")
    assert not [each for each in tmp_path.iterdir() if "out" in each.name]


def test_a_file_that_computes_something_else_is_never_finished(tmp_path, monkeypatch):
    bert = tiny("bert", tmp_path)
    other = checkpoints.load(stored(bert, tmp_path / "bert"))
    with torch.no_grad():
        other.model.bert.encoder.layer[0].output.dense.bias[0] += 1
    write = onnx._export
    monkeypatch.setattr(onnx, "_export", lambda model, cp, path: write(other.model, cp, path))
    with pytest.raises(UserError, match="onnxruntime computes other outputs from the file"):
        exporting.export(tmp_path / "bert", tmp_path / "out", form="onnx")
    assert not (tmp_path / "out").exists()
