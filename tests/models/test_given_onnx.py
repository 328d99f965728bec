"""ONNX files: what each way of storing codes stands for, and which layer a matrix belongs to."""

import json
from pathlib import Path

import numpy as np
import onnx_writer as onnx
import pytest
import torch
from compression_case import logits
from tiny import tiny_bert

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger
from fairshrink.models.given import looking, onnx_file, reading

STYLES = ("cast", "dequantize", "per_channel", "integer", "gemm")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return tiny_bert("encoder", tmp_path_factory.mktemp("original") / "bert")


def drawn(shape, seed: int, low: int, high: int, kind: str) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(kind)


def linear(name: str, shape, style: str, seed: int):
    """Nodes and tensors of a linear layer [in, out], and the weights [out, in] that they stand for."""
    outputs = shape[1]
    out, bias = f"{name}.product", f"inner.{name}.bias"
    odd = f"val_{seed}"
    scale, zero = np.float32(0.01 * (1 + seed % 3)), np.uint8(100 + seed % 50)
    if style == "cast":
        codes = drawn(shape, seed, -127, 128, "int8")
        nodes = [onnx.node("Cast", [f"{odd}_q"], [f"{odd}_f"], to=1), onnx.node("Mul", [f"{odd}_f", f"{odd}_s"], [odd])]
        tensors = [onnx.stored(f"{odd}_q", codes), onnx.stored(f"{odd}_s", scale.reshape(()), listed=True)]
        nodes.append(onnx.node("MatMul", ["x", odd], [out]))
        dense = codes.astype(np.float32) * scale
    elif style in ("dequantize", "gemm"):
        codes = drawn(shape, seed, 0, 256, "uint8")
        nodes = [onnx.node("DequantizeLinear", [f"{odd}_q", f"{odd}_s", f"{odd}_z"], [odd])]
        tensors = [onnx.stored(f"{odd}_q", codes, listed=True), onnx.stored(f"{odd}_s", scale.reshape(()))]
        tensors.append(onnx.stored(f"{odd}_z", zero.reshape(())))
        dense = (codes.astype(np.float32) - float(zero)) * scale
        if style == "gemm":  # takes the matrix as [out, in], and the bias as its third input
            nodes.append(onnx.node("Gemm", ["x", odd, bias], [out], transB=1))
            return nodes, [*tensors], dense
        nodes.append(onnx.node("MatMul", ["x", odd], [out]))
    elif style == "per_channel":
        codes = drawn(shape, seed, -127, 128, "int8")
        scales = (0.01 + 0.001 * np.arange(outputs)).astype(np.float32)
        nodes = [onnx.node("DequantizeLinear", [f"{odd}_q", f"{odd}_s"], [odd], axis=1)]
        nodes.append(onnx.node("MatMul", ["x", odd], [out]))
        tensors = [onnx.stored(f"{odd}_q", codes), onnx.stored(f"{odd}_s", scales)]
        dense = codes.astype(np.float32) * scales
    else:  # as onnxruntime quantizes dynamically: the scale comes after the product of whole numbers
        codes = drawn(shape, seed, 0, 256, "uint8")
        nodes = [
            onnx.node("DynamicQuantizeLinear", ["x"], [f"{odd}_x", f"{odd}_xs", f"{odd}_xz"]),
            onnx.node("MatMulInteger", [f"{odd}_x", f"{odd}_q", f"{odd}_xz", f"{odd}_z"], [f"{odd}_i"]),
            onnx.node("Cast", [f"{odd}_i"], [f"{odd}_f"], to=1),
            onnx.node("Mul", [f"{odd}_xs", f"{odd}_s"], [f"{odd}_both"]),
            onnx.node("Mul", [f"{odd}_f", f"{odd}_both"], [out]),
        ]
        tensors = [onnx.stored(f"{odd}_q", codes), onnx.stored(f"{odd}_s", scale.reshape(()))]
        tensors.append(onnx.stored(f"{odd}_z", zero.reshape(())))
        dense = (codes.astype(np.float32) - float(zero)) * scale
    nodes.append(onnx.node("Add", [bias, out], [f"{name}.out"]))
    return nodes, tensors, dense.T


def write(source: Path, path: Path, style: str) -> tuple[dict[str, torch.Tensor], int]:
    """The tiny BERT with every linear layer in a style; its weights, and bits of those in the blocks in the file."""
    state = checkpoints.load(source).model.state_dict()
    nodes, tensors, dense, bits = [], [], {}, 0
    for seed, (name, value) in enumerate(state.items()):
        if value.ndim == 2 and "embeddings" not in name:
            layer, (rows, columns) = name.removesuffix(".weight"), value.shape
            shape = (rows, columns) if style == "gemm" else (columns, rows)
            more_nodes, more, weights = linear(layer, shape, style, seed)
            nodes += more_nodes
            tensors += more
            dense[name] = torch.tensor(np.ascontiguousarray(weights))
            bits += 8 * rows * columns + (32 * (rows if style == "per_channel" else 1))
            bits += 0 if style in ("cast", "per_channel") else 8
        elif name == "embeddings.word_embeddings.weight":
            # As onnxruntime stores a table: rows are looked up before they are decoded.
            codes = drawn(value.shape, 99, 0, 256, "uint8")
            nodes.append(onnx.node("Gather", [f"{name}_quantized", "input_ids"], ["rows"]))
            nodes.append(onnx.node("DequantizeLinear", ["rows", "table_scale", "table_zero"], ["words"]))
            tensors.append(onnx.stored(f"{name}_quantized", codes))
            tensors += [onnx.stored("table_scale", np.float32(0.02).reshape(()))]
            tensors += [onnx.stored("table_zero", np.uint8(128).reshape(()))]
            dense[name] = torch.tensor((codes.astype(np.float32) - 128) * np.float32(0.02))
        elif value.is_floating_point():
            tensors.append(onnx.stored(f"inner.{name}", value.numpy()))
            dense[name] = value
        else:
            tensors.append(onnx.stored(f"inner.{name}", value.numpy()))
    onnx.write(path, nodes, tensors)
    return dense, bits


def read(path: Path, original: checkpoints.Checkpoint) -> checkpoints.Checkpoint:
    return reading.read(path.parent, path.name, original, names={}, trained=False, seed=0)


@pytest.mark.parametrize("style", STYLES)
def test_each_number_is_what_the_graph_computes(style, source, tmp_path):
    dense, bits = write(source, tmp_path / "model.onnx", style)
    original = checkpoints.load(source)
    given = read(tmp_path / "model.onnx", original)
    state = given.model.state_dict()
    for name, expected in dense.items():
        assert torch.allclose(state[name], expected, atol=1e-6), name
    original.model.load_state_dict(dense, strict=False)
    assert torch.allclose(logits(given), logits(original), atol=1e-4)
    counts = ledger.ledger(given, original)
    assert counts["effective_bits"] == pytest.approx(bits / counts["prunable_params"])
    held = sum(each.bits for each in onnx_file.read(tmp_path / "model.onnx").stored.values()) // 8
    assert counts["bytes"] == held


def test_a_matrix_that_belongs_to_no_layer_is_refused(source, tmp_path):
    nodes = [onnx.node("MatMul", ["x", "odd"], ["y"])]
    onnx.write(tmp_path / "model.onnx", nodes, [onnx.stored("odd", np.ones((4, 3), np.float32))])
    with pytest.raises(UserError, match="the matrix odd of the file belongs to no layer of a BertModel"):
        read(tmp_path / "model.onnx", checkpoints.load(source))


def test_a_missing_weight_is_named(source, tmp_path):
    onnx.write(tmp_path / "model.onnx", [], [])
    with pytest.raises(UserError, match="is missing"):
        read(tmp_path / "model.onnx", checkpoints.load(source))


@pytest.mark.parametrize(
    ("nodes", "tensors", "reason"),
    [
        (
            [onnx.node("QLinearMatMul", ["a"], ["b"])],
            [],
            "operations that cannot be taken apart (QLinearMatMul); write `runtime: own`",
        ),
        ([], [onnx.stored("w", np.ones((2, 2), np.float32), elsewhere=True)], "in another file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_remedy(nodes, tensors, reason, tmp_path):
    onnx.write(tmp_path / "model.onnx", nodes, tensors)
    (only,) = looking.wrong(tmp_path, ["encoder"], "model.onnx", trains=False, originals=())
    assert reason in only
    assert "; " in only


def test_files_that_are_none_are_refused(tmp_path):
    whole = onnx.write(tmp_path / "whole.onnx", [], [onnx.stored("w", np.ones((9, 9), np.float32))]).read_bytes()
    for content in (b"", b"\xff" * 40, json.dumps({"a": 1}).encode(), whole[:-60], whole[:40]):
        (tmp_path / "model.onnx").write_bytes(content)
        (only,) = looking.wrong(tmp_path, ["encoder"], "model.onnx", trains=False, originals=())
        assert "is not an ONNX file, or not a whole one" in only
    (only,) = looking.wrong(tmp_path, ["encoder"], "other.onnx", trains=False, originals=())
    assert only == "there is no file 'other.onnx' in it; name one of model.onnx, whole.onnx"
    (only,) = looking.wrong(tmp_path, ["encoder"], "model.tflite", trains=False, originals=())
    assert "neither an ONNX nor a GGUF file" in only


def test_entries_that_are_said_to_be_in_the_file_are_there(tmp_path):
    """As onnxruntime's quantizer writes tensors that it did not change."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    onnx.write(tmp_path / "model.onnx", [], [onnx.stored("w", values, here=True)])
    assert bytes(onnx_file.read(tmp_path / "model.onnx").stored["w"].data) == values.tobytes()
    assert looking.wrong(tmp_path, ["encoder"], "model.onnx", trains=False, originals=()) == []
