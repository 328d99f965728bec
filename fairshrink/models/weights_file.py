"""The weights of a checkpoint on disk: a safetensors file whose tensors are dense, or sparse where that is smaller.

A dense checkpoint whose modules are those of its config is in ``model.safetensors``, as transformers writes it. Every
other one is in ``compressed.safetensors``: there plain transformers finds no weights and says so, whatever class is
asked for. Under the usual name it would initialize the weights that it misses and carry on with a warning at most.

A matrix is sparse in the file where this takes fewer bits than all its entries: instead of NAME there are NAME.bitmask
(uint8, one bit for each entry in order, the lowest of each byte first: whether it is not zero) and NAME.values (the
entries that are not zero, in order). This loses nothing, and a matrix is only ever dense in memory in the model itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fairshrink.errors import UserError

PLAIN, OWN = "model.safetensors", "compressed.safetensors"
BITMASK, VALUES = ".bitmask", ".values"


def stored_bits(shape: tuple[int, ...], nonzero: int, bits: int) -> int:
    """Bits of a tensor in the file, of whose entries of ``bits`` bits this many are not zero; whole bytes."""
    size = math.prod(shape)
    sparse = -(-size // 8) * 8 + nonzero * bits
    return min(size * bits, sparse) if len(shape) > 1 else size * bits


def write(tensors: Mapping[str, torch.Tensor], folder: Path, *, plain: bool) -> None:
    """Write tensors on the CPU into a folder; ``plain``: whether the modules are those of the config."""
    written = {part: value for name, each in tensors.items() for part, value in _parts(name, each)}
    plain = plain and written.keys() == tensors.keys()
    path = folder / (PLAIN if plain else OWN)
    (folder / (OWN if plain else PLAIN)).unlink(missing_ok=True)
    save_file(written, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes it readable only for the owner


def fill(model: torch.nn.Module, folder: Path, shared: set[str]) -> None:
    """Copy the weights in a folder into a model, one tensor at a time.

    ``shared``: entries of its state that are another's memory, which the file leaves out. UserError where the file has
    other tensors than the model; SafetensorError or OSError where it cannot be read.
    """
    path = folder / OWN if (folder / OWN).exists() else folder / PLAIN
    expected = {name: value for name, value in model.state_dict().items() if name not in shared}
    with safe_open(path, framework="pt") as file:
        present = set(file.keys())
    sparse = {name for name in expected if name + BITMASK in present}
    parts = {each + part for each in sparse for part in (BITMASK, VALUES)}
    wrong = sorted(present ^ (expected.keys() - sparse | parts))
    for name, target in expected.items():
        # Opened anew each time: what has been read of a file stays in the process's memory until it is closed.
        with safe_open(path, framework="pt") as file, torch.no_grad():
            if not wrong and not _copy(file, name, target, name in sparse):
                wrong = [name]
    if wrong:
        raise UserError(
            f"{folder}: weights and structure do not match (at {wrong[0]}): delete the folder and run again"
        )


def _parts(name: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    nonzero = int(torch.count_nonzero(value))
    bits = value.element_size() * 8
    if stored_bits(tuple(value.shape), nonzero, bits) == value.numel() * bits:
        yield name, value
        return
    mask = value.flatten() != 0
    yield name + BITMASK, torch.from_numpy(np.packbits(mask.numpy(), bitorder="little"))
    yield name + VALUES, value.flatten()[mask]


def _copy(file: Any, name: str, target: torch.Tensor, sparse: bool) -> bool:
    """Copy a tensor of the file; False if it does not fit."""
    if not sparse:
        value = file.get_tensor(name)
        if value.shape == target.shape:
            target.copy_(value)
        return value.shape == target.shape
    bitmask, values = file.get_tensor(name + BITMASK), file.get_tensor(name + VALUES)
    if len(bitmask) != -(-target.numel() // 8):
        return False
    mask = torch.from_numpy(np.unpackbits(bitmask.numpy(), count=target.numel(), bitorder="little")).bool()
    if int(mask.sum()) != len(values):
        return False
    target.zero_().view(-1).masked_scatter_(mask.to(target.device), values.to(target.device, target.dtype))
    return True
