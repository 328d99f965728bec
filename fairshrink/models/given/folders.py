"""The dense weights of a folder that a library for quantization has saved, and how many bits each takes there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open

from fairshrink.errors import UserError
from fairshrink.models.folder import weight_files
from fairshrink.models.given import awq, bitsandbytes, compressed_tensors, gptq

Weights = dict[str, torch.Tensor]


@dataclass
class Decoded:
    """Weights by their names in the file, in float32; the bits that each takes in it; the bytes of all tensors."""

    weights: Weights = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)
    bytes: int = 0


class _Form(NamedTuple):
    parts: Sequence[str]
    owners: Callable[[Set[str]], list[str]]
    dense: Callable[[Mapping[str, torch.Tensor], Mapping[str, Any]], torch.Tensor]


FORMS: Mapping[str, _Form] = {
    "awq": _Form(awq.PARTS, awq.owners, awq.dense),
    "bitsandbytes": _Form(bitsandbytes.PARTS, bitsandbytes.owners, bitsandbytes.dense),
    "compressed-tensors": _Form(compressed_tensors.PARTS, compressed_tensors.owners, compressed_tensors.dense),
    "gptq": _Form(gptq.PARTS, gptq.owners, gptq.dense),
}


def sizes(folder: Path) -> Decoded:
    """The sizes of a folder's tensors, where these are weights as they are."""
    found = Decoded()
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            found.bits |= {name: 8 * _bytes(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    found.bytes = sum(found.bits.values()) // 8
    return found


def read(folder: Path, said: Mapping[str, Any]) -> Decoded:
    """All weights of a folder with this quantization_config.

    One layer is decoded at a time. UserError for a layer whose parts do not fit together.
    """
    found = Decoded()
    tensors: Weights = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                tensors[name] = file.get_tensor(name)
                found.bytes += _bytes(tensors[name])
    form = FORMS[said["quant_method"]]
    for owner in form.owners(tensors.keys()):
        parts = {part: tensors.pop(f"{owner}.{part}") for part in form.parts if f"{owner}.{part}" in tensors}
        name = f"{owner}.weight"
        try:
            found.weights[name] = form.dense(parts, said)
        except (RuntimeError, ValueError, KeyError, IndexError, StopIteration, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(f"{folder}: {owner} cannot be decoded as {said['quant_method']}: {reason}") from error
        found.bits[name] = 8 * sum(map(_bytes, parts.values()))
    for name in list(tensors):
        value = tensors.pop(name)
        found.bits[name] = 8 * _bytes(value)
        found.weights[name] = value.float() if value.is_floating_point() else value
    return found


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
