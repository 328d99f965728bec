"""What a graph says of itself whose weights cannot be decoded: bits of its matrices, how it rounds. Without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fairshrink.models.given.onnx_file import Graph

MATRIX: Mapping[str, tuple[int, ...]] = {
    "Attention": (1,),
    "DynamicQuantizeMatMul": (1, 2, 3),
    "FusedGemm": (1,),
    "FusedMatMul": (1,),
    "Gemm": (1,),
    "MatMul": (1,),
    "MatMulInteger": (1, 3),
    "MatMulIntegerToFloat": (1, 3, 5),
    "MatMulNBits": (1, 2, 3),
    "QAttention": (1, 4, 7),
    "QGemm": (3, 4, 5),
    "QLinearMatMul": (3, 4, 5),
}
"""Operations that multiply by a matrix: which inputs are its codes, their scales and their zero points."""
PACKED = "MatMulNBits"
"""Has [K, N] codes of few bits in bytes, and says K and N."""


def rounds_by_range(graph: Graph) -> bool:
    """Whether activations are rounded by the range of all that is computed at once, padding and other texts too."""
    return any(node.kind.startswith("DynamicQuantize") for node in graph.nodes)


def bits_of_products(graph: Graph, weights: int) -> int | None:
    """Bits of the ``weights`` of the linear layers in the blocks, from the matrices that the graph multiplies by.

    Their share of all these matrices' bits: a task head's are among them. None where the graph's matrices have fewer
    weights, as some are computed in another way.
    """
    decoding = {output: node for node in graph.nodes if node.kind == "DequantizeLinear" for output in node.outputs}
    entries, bits, seen = 0, 0, set[str]()
    for node in graph.nodes:
        parts = [node.inputs[each] for each in MATRIX.get(node.kind, ()) if each < len(node.inputs)]
        if parts and parts[0] in decoding:
            parts = list(decoding[parts[0]].inputs)
        if not parts or parts[0] not in graph.stored or parts[0] in seen:
            continue
        seen.add(parts[0])
        if node.kind == PACKED:
            entries += node.numbers["K"] * node.numbers["N"]
        else:
            entries += math.prod(graph.stored[parts[0]].shape)
        bits += sum(graph.stored[each].bits for each in parts if each in graph.stored)
    return round(bits * weights / entries) if weights <= entries else None
