"""The weights of an ONNX file under the names of a model of transformers.

A stored matrix of codes is decoded where the graph decodes it or multiplies by it:

- DequantizeLinear(q, scale, zero):         W = (q - zero) x scale, per tensor or along `axis`;
- Cast(q) followed by Mul with a stored scale: W = q x scale;
- MatMulInteger(x, q, zero of x, zero):     W = (q - zero) x scale, the scale being what its result is multiplied by.

Exporters give matrices of linear layers names of their own. Such a matrix is that of the layer whose bias is added to
its product, or else of the layer that the operation is named after ("/encoder/layer.0/attention/self/query/MatMul").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch

from fairshrink.errors import UserError
from fairshrink.models.given.folders import Decoded
from fairshrink.models.given.onnx_file import FLOAT, FLOAT16, INT8, INT32, INT64, UINT8, Graph, Node, Stored

TYPES = {
    FLOAT: torch.float32,
    FLOAT16: torch.float16,
    UINT8: torch.uint8,
    INT8: torch.int8,
    INT32: torch.int32,
    INT64: torch.int64,
}
PRODUCTS = ("MatMul", "MatMulInteger", "Gemm")
THROUGH = ("Cast", "Mul", "Reshape", "Identity", "Transpose", "DequantizeLinear", "QuantizeLinear")
"""Operations between a product and the bias that is added to it."""


@dataclass
class _Reading:
    """``values``: matrices that can be read, by the name that the graph uses; ``parts``: the stored tensors of each."""

    graph: Graph
    made_by: dict[str, Node]
    used_by: dict[str, list[Node]]
    values: dict[str, torch.Tensor] = field(default_factory=dict)
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read(graph: Graph, model: torch.nn.Module, where: str) -> Decoded:
    """The weights of ``model``'s architecture; UserError where a matrix of the file belongs to no layer of it."""
    try:
        reading = _decoded(graph)
    except (RuntimeError, IndexError, KeyError) as error:
        raise UserError(f"{where}: its matrices cannot be decoded: {' '.join(str(error).split())[:200]}") from error
    found = Decoded(bytes=sum(each.bits for each in graph.stored.values()) // 8)
    named = {name: (source, turned) for name, source, turned in _named(reading, model)}
    for name, (source, turned) in named.items():
        value = reading.values[source]
        found.weights[name] = (value.t() if turned else value).contiguous()
        found.bits[name] = sum(graph.stored[part].bits for part in reading.parts[source])
    placed = {source for source, _ in named.values()}
    lost = [name for name, each in reading.values.items() if each.ndim == 2 and min(each.shape) > 1]
    lost = [name for name in lost if name not in placed]
    if lost:
        raise UserError(f"{where}: the matrix {lost[0]} of the file belongs to no layer of a {type(model).__name__}")
    return found


def _decoded(graph: Graph) -> _Reading:
    used: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for each in node.inputs:
            used.setdefault(each, []).append(node)
    reading = _Reading(graph, {output: node for node in graph.nodes for output in node.outputs}, used)
    scales = _scales(graph)
    for name, stored in graph.stored.items():
        if stored.type in (FLOAT, FLOAT16) and name not in scales:
            reading.values[name], reading.parts[name] = tensor(stored).float(), (name,)
    for node in graph.nodes:
        _decode(node, reading)
    return reading


def _scales(graph: Graph) -> set[str]:
    """Stored numbers that only serve to decode others."""
    casts = {each.outputs[0] for each in graph.nodes if each.kind == "Cast" and each.inputs[0] in graph.stored}
    scales = {each.inputs[1] for each in graph.nodes if each.kind == "DequantizeLinear"}
    decoding = (each for each in graph.nodes if each.kind == "Mul" and casts & set(each.inputs))
    return scales | {each for node in decoding for each in node.inputs if each in graph.stored}


def _decode(node: Node, reading: _Reading) -> None:
    """Add the matrix that a node decodes, if it does."""
    stored = reading.graph.stored
    if node.kind == "DequantizeLinear":
        codes = _looked_up(node.inputs[0], reading)
        if codes not in stored:
            return
        if node.numbers.get("block_size"):
            raise UserError(f"{codes} has a scale for each block of its entries, which is not read")
        name = node.outputs[0] if codes == node.inputs[0] else codes
        parts = [codes, *(each for each in node.inputs[1:] if each)]
        zero = tensor(stored[parts[2]]) if len(parts) > 2 else None
        axis = node.numbers.get("axis", 1)
    elif node.kind == "Mul":
        casts = [reading.made_by[each] for each in node.inputs if each in reading.made_by]
        casts = [each for each in casts if each.kind == "Cast" and each.inputs[0] in stored]
        scales = [each for each in node.inputs if each in stored]
        if not (casts and scales):
            return
        name, parts = node.outputs[0], [casts[0].inputs[0], scales[0]]
        reading.values[name] = tensor(stored[parts[0]]).float() * tensor(stored[parts[1]]).float()
        reading.parts[name] = tuple(parts)
        return
    elif node.kind == "MatMulInteger" and node.inputs[1] in stored:
        name, axis = node.inputs[1], -1
        parts = [name, _scale_after(node, reading), *(each for each in node.inputs[3:4] if each in stored)]
        zero = tensor(stored[parts[2]]) if len(parts) > 2 else None
    else:
        return
    reading.values[name] = _scaled(tensor(stored[parts[0]]), tensor(stored[parts[1]]), zero, axis)
    reading.parts[name] = tuple(parts)


def _looked_up(name: str, reading: _Reading) -> str:
    """The table whose rows these are, where they are looked up before they are decoded."""
    node = reading.made_by.get(name)
    return node.inputs[0] if node is not None and node.kind == "Gather" else name


def _scaled(codes: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None, axis: int) -> torch.Tensor:
    """(codes - zero) x scale in float32, both of them one number or one for each entry along an axis."""
    shape = [1] * codes.ndim
    if scale.numel() > 1:
        shape[axis] = scale.numel()
    shift = 0.0 if zero is None else zero.float().reshape(shape if zero.numel() > 1 else [1] * codes.ndim)
    return (codes.float() - shift) * scale.float().reshape(shape)


def _scale_after(node: Node, reading: _Reading) -> str:
    """The stored scale that a product of whole numbers is multiplied by, with that of the inputs or after it."""
    seen = list(node.outputs)
    while seen:
        for user in reading.used_by.get(seen.pop(), ()):
            if user.kind == "Cast":
                seen += user.outputs
            elif user.kind == "Mul":
                sources = [*user.inputs, *(x for each in user.inputs for x in _factors(each, reading))]
                stored = [each for each in sources if each in reading.graph.stored]
                if stored:
                    return stored[0]
                seen += user.outputs
    raise UserError(f"the scale of the matrix {node.inputs[1]} cannot be found in the graph")


def _factors(name: str, reading: _Reading) -> tuple[str, ...]:
    node = reading.made_by.get(name)
    return tuple(node.inputs) if node is not None and node.kind == "Mul" else ()


def _named(reading: _Reading, model: torch.nn.Module) -> Iterator[tuple[str, str, bool]]:
    """Weights of the model, the name of the values of each in the graph, and whether these are turned."""
    wanted = model.state_dict()
    for source, value in reading.values.items():
        name = _meant(source, wanted)
        users = [each for each in reading.used_by.get(source, ()) if each.kind in PRODUCTS and each.inputs[1] == source]
        if users and value.ndim == 2:
            layer = name.removesuffix(".weight") if name else _layer(users[0], reading, wanted)
            if layer is not None:
                # A product takes [in, out], as transformers' Conv1D has it, and torch's Linear [out, in].
                as_conv1d = not users[0].numbers.get("transB")
                yield f"{layer}.weight", source, as_conv1d != (type(model.get_submodule(layer)).__name__ == "Conv1D")
        elif name is not None:
            yield name, source, False


def _meant(source: str, wanted: Mapping[str, torch.Tensor]) -> str | None:
    """The weight of the model that has this name but for what wraps it."""
    source = source.removesuffix("_quantized").removesuffix("_DequantizeLinear_Output")
    if source in wanted:
        return source
    ends = [name for name in wanted if source.endswith(f".{name}") or name.endswith(f".{source}")]
    return ends[0] if len(ends) == 1 else None


def _layer(node: Node, reading: _Reading, wanted: Mapping[str, torch.Tensor]) -> str | None:
    """The linear layer that a product with a matrix belongs to."""
    biases = [*node.inputs[2:3]] if node.kind == "Gemm" else list(_added(node, reading))
    for bias in biases:
        name = _meant(bias, wanted)
        if name is not None and name.endswith(".bias"):
            return name.removesuffix(".bias")
    path = ".".join(node.name.strip("/").split("/")[:-1])
    name = _meant(f"{path}.weight", wanted)
    return name.removesuffix(".weight") if name else None


def _added(node: Node, reading: _Reading) -> Iterator[str]:
    """What is stored and added to a product, after it has been scaled."""
    seen = list(node.outputs)
    while seen:
        for user in reading.used_by.get(seen.pop(), ()):
            if user.kind == "Add":
                yield from (each for each in user.inputs if each in reading.values)
            elif user.kind in THROUGH:
                seen += user.outputs


def tensor(stored: Stored) -> torch.Tensor:
    """A stored tensor; UserError where its entries are in another file or of a type that is not read."""
    if stored.data is None or stored.type not in TYPES:
        raise UserError("a tensor of the ONNX file is in another file, or of a type that is not read")
    if not stored.size:
        return torch.zeros(stored.shape, dtype=TYPES[stored.type])
    return torch.frombuffer(bytearray(stored.data), dtype=TYPES[stored.type]).reshape(stored.shape)
