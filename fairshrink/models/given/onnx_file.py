"""What an ONNX file holds: its nodes, and its stored tensors where they lie in the file. Without torch.

A reader of the few messages of protocol buffers that are needed (onnx.proto: ModelProto.graph, GraphProto.node and
.initializer, NodeProto, AttributeProto, TensorProto); the package `onnx` is not.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GRAPH, NODE, INITIALIZER = 7, 1, 5
LOCATION, EXTERNAL = 14, 1
"""The field of a tensor that says where its entries are; its value for another file than this one."""
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
FLOAT, UINT8, INT8, INT32, INT64, FLOAT16 = 1, 2, 3, 6, 7, 10
SIZES: Mapping[int, int] = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, FLOAT16: 2}
"""Bytes of an entry, by the number of its type: the types that are read."""
_PACKED = {4: "<f", 5: "<i", 7: "<q"}
"""Fields of a tensor that list its entries one by one: of floats, of small numbers, of int64."""


class DamagedError(ValueError):
    """It is not an ONNX file, or not a whole one."""


@dataclass(frozen=True)
class Node:
    """An operation; ``numbers`` are its attributes that are whole numbers."""

    kind: str
    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class Stored:
    """A tensor in the file: the number of its type, its shape, its entries as bytes; None if they are elsewhere."""

    type: int
    shape: tuple[int, ...]
    data: bytes | memoryview | None = field(repr=False)

    @property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of its entries."""
        return 8 * self.size * SIZES.get(self.type, 0)


@dataclass(frozen=True)
class Graph:
    """The operations of a model in their order, and its stored tensors by name."""

    nodes: Sequence[Node]
    stored: Mapping[str, Stored]


def read(path: Path) -> Graph:
    """The graph of a file; the bytes of its tensors are read when they are used. Raises DamagedError, and OSError."""
    with path.open("rb") as stream:
        try:
            content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            graphs = [value for number, value in _fields(content) if number == GRAPH]
            if len(graphs) != 1 or isinstance(graphs[0], int):
                raise DamagedError("it holds no graph")
            parts = list(_fields(graphs[0]))
            nodes = [_node(value) for number, value in parts if number == NODE]
            return Graph(nodes, dict(_stored(value) for number, value in parts if number == INITIALIZER))
        except (ValueError, TypeError, IndexError, struct.error) as error:  # an empty file cannot be mapped either
            raise DamagedError(str(error) if isinstance(error, DamagedError) else "it does not read as one") from error


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message in their order: number, and value as a whole number or as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind not in (EIGHT_BYTES, LENGTH, FOUR_BYTES) or not number:
            raise DamagedError("it does not read as one")
        length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind, 0)
        if kind == LENGTH:
            length, at = _varint(message, at)
        if at + length > len(message):
            raise DamagedError("it is cut off")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        byte = message[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise DamagedError("it does not read as one")


def _text(value: Any) -> str:
    return bytes(value).decode()


def _node(message: memoryview) -> Node:
    parts = list(_fields(message))
    of = {number: [_text(value) for each, value in parts if each == number] for number in (1, 2, 3, 4)}
    attributes = (dict(_fields(value)) for number, value in parts if number == 5)
    numbers = {_text(each[1]): _signed(each[3]) for each in attributes if 1 in each and isinstance(each.get(3), int)}
    return Node("".join(of[4]), "".join(of[3]), of[1], of[2], numbers)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _stored(message: memoryview) -> tuple[str, Stored]:
    name, kind, shape, raw, elsewhere = "", 0, list[int](), None, False
    listed = bytearray()
    for number, value in _fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else _numbers(value)
        elif number == 2:
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = value
        elif number in _PACKED:
            listed += _entries(number, value, kind)
        elif number == LOCATION:
            elsewhere = value == EXTERNAL
    size = math.prod(shape) * SIZES.get(kind, 0)
    data = None if elsewhere else raw if raw is not None else bytes(listed)
    if data is not None and kind in SIZES and len(data) != size:
        raise DamagedError(f"{name} has {len(data)} bytes, and its shape says {size}")
    return name, Stored(kind, tuple(shape), data)


def _entries(number: int, value: Any, kind: int) -> bytes:
    """Entries that are listed one by one as the bytes that they would be otherwise; packed as a rule."""
    if number == 4:
        return bytes(value)
    listed = [value] if isinstance(value, int) else _numbers(value)
    size = SIZES.get(kind, 8)
    return b"".join((each & ((1 << 8 * size) - 1)).to_bytes(size, "little") for each in listed)


def _numbers(packed: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        found.append(value)
    return found
