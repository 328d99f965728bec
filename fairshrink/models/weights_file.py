"""The weights of a checkpoint on disk: safetensors files whose tensors are dense, or sparse where that is smaller.

There is a file for each part of the model (`parts`): what a compression left alone has the same bytes in baseline and
compressed checkpoint, and is kept once by a store that knows files by their contents. A dense checkpoint whose modules
are those of its config is in ``model-PART.safetensors`` with an index, as transformers writes large models. Every other
one is in ``compressed-PART.safetensors`` without one: there plain transformers finds no weights and says so, whatever
class is asked for. By an index it would initialize the weights that it misses and carry on with a warning at most.
Checkpoints of format 1 have one file, ``model.safetensors`` or ``compressed.safetensors``, and are read as they are.

A matrix is sparse in the file where this takes fewer bits than all its entries: instead of NAME there are NAME.bitmask
(uint8, one bit for each entry in order, the lowest of each byte first: whether it is not zero) and NAME.values (the
entries that are not zero, in order). This loses nothing, and a matrix is only ever dense in memory in the model itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME as INDEX

from fairshrink.errors import UserError

PLAIN, OWN = "model", "compressed"
"""How the names of the files begin."""
BITMASK, VALUES = ".bitmask", ".values"


def stored_bits(shape: tuple[int, ...], nonzero: int, bits: int) -> int:
    """Bits of a tensor in the file, of whose entries of ``bits`` bits this many are not zero; whole bytes."""
    size = math.prod(shape)
    sparse = -(-size // 8) * 8 + nonzero * bits
    return min(size * bits, sparse) if len(shape) > 1 else size * bits


def write(tensors: Mapping[str, torch.Tensor], parts: Mapping[str, str], folder: Path, *, plain: bool) -> None:
    """Write tensors on the CPU into a folder, in place of the weights that are there.

    ``parts``: which part of the model each belongs to; ``plain``: whether the modules are those of the config.
    """
    sparse = {name for name, each in tensors.items() if _is_smaller_sparse(each)}
    kind = PLAIN if plain and not sparse else OWN
    for old in [*_files(folder, OWN), *_files(folder, PLAIN), folder / INDEX]:
        old.unlink(missing_ok=True)
    index: dict[str, str] = {}
    for part in sorted({parts[name] for name in tensors}):
        file = f"{kind}-{part}.safetensors"
        held: dict[str, torch.Tensor] = {}
        for name in [name for name in tensors if parts[name] == part]:
            held |= _halves(name, tensors[name]) if name in sparse else {name: tensors[name]}
        save_file(held, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)  # safetensors makes it readable only for the owner
        index |= dict.fromkeys(held, file)
    if kind == PLAIN:
        size = sum(each.numel() * each.element_size() for each in tensors.values())
        text = json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=2, sort_keys=True)
        (folder / INDEX).write_text(text + "\n", encoding="utf-8")


def fill(model: torch.nn.Module, folder: Path, shared: set[str]) -> None:
    """Copy the weights in a folder into a model, one tensor at a time.

    ``shared``: entries of its state that are another's memory, which the files leave out. UserError where the files
    have other tensors than the model; SafetensorError or OSError where they cannot be read.
    """
    places = _places(folder)
    expected = {name: value for name, value in model.state_dict().items() if name not in shared}
    sparse = {name for name in expected if name + BITMASK in places}
    halves = {name + half for name in sparse for half in (BITMASK, VALUES)}
    wrong = sorted(places.keys() ^ (expected.keys() - sparse | halves))
    if not wrong:
        wrong = [name for name, target in expected.items() if not _copy(places, name, target)]
    if wrong:
        raise UserError(
            f"{folder}: weights and structure do not match (at {wrong[0]}): delete the folder and run again"
        )


def _places(folder: Path) -> dict[str, Path]:
    """Which file each stored tensor is in. OSError if there is none; UserError for a tensor that is in two."""
    found: dict[str, Path] = {}
    files = _files(folder, OWN) or _files(folder, PLAIN)
    if not files:
        raise FileNotFoundError(f"no file {PLAIN}-*.safetensors or {OWN}-*.safetensors")
    for path in files:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
        if twice := sorted(names & found.keys()):
            raise UserError(f"{folder}: {twice[0]} is in two files: delete the folder and run again")
        found |= dict.fromkeys(names, path)
    return found


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}*.safetensors"))


def _is_smaller_sparse(value: torch.Tensor) -> bool:
    bits = value.element_size() * 8
    return stored_bits(tuple(value.shape), int(torch.count_nonzero(value)), bits) < value.numel() * bits


def _halves(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    mask = value.flatten() != 0
    bitmask = torch.from_numpy(np.packbits(mask.numpy(), bitorder="little"))
    return {name + BITMASK: bitmask, name + VALUES: value.flatten()[mask]}


def _copy(places: Mapping[str, Path], name: str, target: torch.Tensor) -> bool:
    """Copy a tensor of the files; False if it does not fit.

    A file is opened for one tensor: what has been read of it stays in the process's memory until it is closed.
    """
    sparse = name not in places
    path = places[name + BITMASK if sparse else name]
    with safe_open(path, framework="pt") as file, torch.no_grad():
        return _copy_sparse(file, name, target) if sparse else _copy_dense(file, name, target)


def _copy_dense(file: Any, name: str, target: torch.Tensor) -> bool:
    value = file.get_tensor(name)
    if value.shape == target.shape:
        target.copy_(value)
    return bool(value.shape == target.shape)


def _copy_sparse(file: Any, name: str, target: torch.Tensor) -> bool:
    bitmask, values = file.get_tensor(name + BITMASK), file.get_tensor(name + VALUES)
    if len(bitmask) != -(-target.numel() // 8):
        return False
    mask = torch.from_numpy(np.unpackbits(bitmask.numpy(), count=target.numel(), bitorder="little")).bool()
    if int(mask.sum()) != len(values):
        return False
    target.zero_().view(-1).masked_scatter_(mask.to(target.device), values.to(target.device, target.dtype))
    return True
