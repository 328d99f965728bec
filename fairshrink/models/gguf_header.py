"""What a GGUF file says of its model before its weights begin: quick, and without torch or the reader of `gguf`.

That reader decodes each word of the vocabulary, which takes seconds. Format: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ARCHITECTURES: Mapping[str, str] = {
    "bloom": "bloom",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "gpt2": "gpt2",
    "llama": "llama",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "stablelm": "stablelm",
    "t5": "t5",
    "t5encoder": "t5",
}
"""What `general.architecture` is as a model_type: those that transformers can read and fairshrink knows."""
_NAMES = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
}
_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_MOST = 1 << 24
"""No field has so many values, no model so many tensors: more of them are damage."""
LONGEST_KEPT = 64
"""Arrays that are longer, such as vocabularies, are only counted."""


class DamagedError(ValueError):
    """The file does not begin as a GGUF file does."""


@dataclass(frozen=True)
class Header:
    """``fields`` as they are called in the file, long arrays left out; ``counts``: how many values each array has.

    ``shapes`` of the tensors by name, the fastest index first, as in the file; ``types``: the numbers of their types.
    """

    fields: Mapping[str, Any]
    counts: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, int] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """As llama.cpp calls it."""
        return str(self.fields.get("general.architecture", ""))

    @property
    def weights(self) -> int:
        """How many numbers the tensors hold."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def config(self) -> dict[str, Any]:
        """What it says under the names of config.json."""
        known = {name: self.fields.get(f"{self.architecture}.{key}") for key, name in _NAMES.items()}
        found = {name: value for name, value in known.items() if value is not None}
        return {"model_type": ARCHITECTURES.get(self.architecture, self.architecture)} | found


def read(path: Path) -> Header:
    """The header of a file. Raises DamagedError, and OSError."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        try:
            found, ends = _header(stream)
        except (struct.error, UnicodeDecodeError, OverflowError, RecursionError) as error:
            raise DamagedError("its header is damaged or cut off") from error
    if size < ends:
        raise DamagedError(f"it has {size:,} bytes, and its last tensor begins after {ends:,}")
    return found


def _header(stream: BinaryIO) -> tuple[Header, int]:
    if stream.read(4) != MAGIC:
        raise DamagedError("it does not begin as one")
    version, tensors, count = _numbers(stream, "<IQQ")
    if version not in VERSIONS or tensors > _MOST or count > _MOST:
        raise DamagedError("its header is damaged, or of a version that is not known")
    fields: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for _ in range(count):
        name = _text(stream)
        kind = _numbers(stream, "<I")[0]
        if kind == _ARRAY:
            counts[name], values = _array(stream)
            fields |= {} if values is None else {name: values}
        else:
            fields[name] = _value(stream, kind)
    shapes, types, last = {}, {}, 0
    for _ in range(tensors):
        name = _text(stream)
        shape = _numbers(stream, f"<{_few(_numbers(stream, '<I')[0])}Q")
        types[name], offset = _numbers(stream, "<IQ")
        shapes[name], last = tuple(shape), max(last, offset)
    return Header(fields, counts, shapes, types), stream.tell() + last


def _array(stream: BinaryIO) -> tuple[int, list[Any] | None]:
    kind, length = _numbers(stream, "<IQ")
    if length > _MOST:
        raise DamagedError("its header is damaged: an array without end")
    if length <= LONGEST_KEPT and kind != _ARRAY:
        return length, [_value(stream, kind) for _ in range(length)]
    for _ in range(length if kind in (_TEXT, _ARRAY) else 0):
        if kind == _TEXT:
            stream.seek(_length(stream), 1)
        else:
            _array(stream)
    if kind not in (_TEXT, _ARRAY):
        stream.seek(length * struct.calcsize("<" + _number(kind)), 1)
    return length, None


def _value(stream: BinaryIO, kind: int) -> Any:
    return _text(stream) if kind == _TEXT else _numbers(stream, "<" + _number(kind))[0]


def _number(kind: int) -> str:
    if kind not in _NUMBERS:
        raise DamagedError(f"its header is damaged: no value is of kind {kind}")
    return _NUMBERS[kind]


def _text(stream: BinaryIO) -> str:
    length = _length(stream)
    found = stream.read(length)
    if len(found) < length:
        raise DamagedError("its header is cut off")
    return found.decode(errors="replace")


def _length(stream: BinaryIO) -> int:
    length: int = _numbers(stream, "<Q")[0]
    if length > _MOST:
        raise DamagedError("its header is damaged: a text without end")
    return length


def _few(dimensions: int) -> int:
    if dimensions > 8:
        raise DamagedError(f"its header is damaged: a tensor of {dimensions} dimensions")
    return dimensions


def _numbers(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, stream.read(struct.calcsize(form)))
