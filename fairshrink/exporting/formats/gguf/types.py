"""The types of GGUF that `gguf` can write, and which of them hold a matrix exactly."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from gguf import GGML_QUANT_SIZES, LlamaFileType, quants
from gguf import GGMLQuantizationType as Type

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_FIRST = (Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.F16, Type.BF16)
ROWS = 16
"""A matrix is looked at as a whole only where its first rows can be held."""
WHOLE = ("position_embd.", "token_types.")
"""Small tables that llama.cpp keeps as they are."""


def exact(name: str, values: NDArray[np.float32]) -> Type:
    """The smallest type that gives these numbers back, all of them."""
    if not _has_blocks(name, values):
        return Type.F32
    return next((each for each in SMALLEST_FIRST if _holds(each, values[:ROWS]) and _holds(each, values)), Type.F32)


def wanted(name: str, values: NDArray[np.float32], kind: str) -> Type:
    """A type by its name, and F16 where rows are no multiples of its blocks; never for vectors."""
    found = Type[kind.upper()]
    if not _has_blocks(name, values):
        return Type.F32
    return found if _fits(found, values) else Type.F16


def encoded(values: NDArray[np.float32], kind: Type) -> NDArray[np.generic]:
    """The numbers as the file has them."""
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers beyond 16 bits, which `_holds` finds
        found: NDArray[np.generic] = quants.quantize(np.ascontiguousarray(values), kind)
    return found


def decoded(values: NDArray[np.float32], kind: Type) -> NDArray[np.float32]:
    """The numbers that a reader finds."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: NDArray[np.float32] = quants.dequantize(encoded(values, kind), kind)
    return found


def file_type(sizes: Counter[Type]) -> LlamaFileType:
    """What llama.cpp calls a file most of whose weights are of one type."""
    most = max(sizes, key=lambda kind: (sizes[kind], kind))
    return LlamaFileType.ALL_F32 if most is Type.F32 else LlamaFileType[f"MOSTLY_{most.name}"]


def size(values: NDArray[np.float32], kind: Type) -> int:
    """Bytes of a tensor."""
    block, width = GGML_QUANT_SIZES[kind]
    return values.size // block * width


def _has_blocks(name: str, values: NDArray[np.float32]) -> bool:
    return values.ndim > 1 and not name.startswith(WHOLE)


def _fits(kind: Type, values: NDArray[np.float32]) -> bool:
    return bool(values.shape[-1] % GGML_QUANT_SIZES[kind][0] == 0)


def _holds(kind: Type, values: NDArray[np.float32]) -> bool:
    return _fits(kind, values) and np.array_equal(decoded(values, kind), values)
