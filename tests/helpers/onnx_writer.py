"""Writes small ONNX files: protocol buffers of onnx.proto, field by field."""

import struct
from pathlib import Path

import numpy as np

TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def stored(
    name: str, values: np.ndarray, *, listed: bool = False, elsewhere: bool = False, here: bool = False
) -> bytes:
    """A tensor, its entries as bytes, listed one by one, or in another file; ``here``: it says they are in this."""
    content = b"".join(number(1, size) for size in values.shape) + number(2, TYPES[str(values.dtype)]) + block(8, name)
    content += number(14, 0) if here else b""
    if elsewhere:
        return content + block(13, block(1, "location") + block(2, "model.data")) + number(14, 1)
    if not listed:
        return content + block(9, values.tobytes())
    if values.dtype == np.float32:
        return content + block(4, struct.pack(f"<{values.size}f", *values.flatten()))
    field = 7 if values.dtype == np.int64 else 5
    return content + block(field, b"".join(varint(int(value)) for value in values.flatten()))


def node(kind: str, inputs: list[str], outputs: list[str], name: str = "", **attributes: int) -> bytes:
    content = b"".join(block(1, each) for each in inputs) + b"".join(block(2, each) for each in outputs)
    content += block(3, name) + block(4, kind)
    return content + b"".join(block(5, block(1, k) + number(3, v) + number(20, 2)) for k, v in attributes.items())


def write(path: Path, nodes: list[bytes], tensors: list[bytes]) -> Path:
    graph = b"".join(block(1, each) for each in nodes) + block(2, "g") + b"".join(block(5, each) for each in tensors)
    path.write_bytes(number(1, 10) + block(2, "a test") + block(7, graph) + block(8, number(2, 17)))
    return path
