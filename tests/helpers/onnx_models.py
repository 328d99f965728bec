"""Tiny models as ONNX files: exported by torch, rounded and fused by onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Output(torch.nn.Module):
    """The one output of a model that is written."""

    def __init__(self, model: torch.nn.Module, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(**dict(zip(INPUTS, inputs, strict=False))), self.name)


def exported(cp, path: Path, output: str, inputs: tuple[str, ...] = INPUTS) -> Path:
    """The model of a checkpoint, for batches of any size and texts of any length."""
    ids = torch.full((2, 7), 5)
    axes = tuple({0: torch.export.Dim("batch"), 1: torch.export.Dim("length")} for _ in inputs)
    given = tuple(torch.zeros_like(ids) if name == "token_type_ids" else torch.ones_like(ids) for name in inputs)
    program = torch.onnx.export(
        Output(cp.model, output).eval(), given, dynamo=True, dynamic_shapes=(axes,), input_names=list(inputs),
        output_names=[output], verbose=False,
    )  # fmt: skip
    program.save(str(path), external_data=False)
    return path


def rounded(source: Path, path: Path) -> Path:
    """The same with 8 bits, activations rounded by the range that they have when it runs."""
    quantize_dynamic(str(source), str(path), weight_type=QuantType.QInt8)
    return path


def fused(source: Path, path: Path) -> Path:
    """The same as onnxruntime rewrites it for itself."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return path


def asked(path: Path, sequences: list[list[int]], types: list[list[int]] | None = None) -> list[np.ndarray]:
    """What the runtime gives for each sequence, one at a time."""
    session, found = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), []
    for row, ids in enumerate(sequences):
        all_inputs = dict(
            zip(INPUTS, ([ids], [[1] * len(ids)], [types[row] if types else [0] * len(ids)]), strict=True)
        )
        wanted = [each.name for each in session.get_inputs()]
        found.append(session.run(None, {name: np.array(all_inputs[name], dtype=np.int64) for name in wanted})[0][0])
    return found
