"""The saved state of a training, so that a pre-empted or killed one resumes instead of starting again.

One safetensors file contains the trainable parameters, all buffers, AdamW's moments, and in its metadata the number of
steps done. It is replaced atomically, so the previous state stays intact whatever happens during writing. On the same
device with the same number of threads, a training that resumes from it ends bit-identical to an uninterrupted one.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

FILE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


class TrainingState:
    """The saved state of one training in its own folder; no failure to load or save it ends the training.

    ``identity`` says which training this is (an artifact's key): the state of another one is not used. ``every_s``:
    seconds between saves. Several processes may share the folder.
    """

    def __init__(self, folder: Path, identity: str, log: Callable[[str], None], every_s: float = 300.0) -> None:
        self.path = folder / FILE
        self._identity, self._every_s, self._log = identity, every_s, log
        self._since = time.monotonic()
        self._reported = False

    def load(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, total: int) -> int:
        """Restore model and optimizer, and return how many of ``total`` steps are done.

        0, with both unchanged, if there is no state. A state that is damaged or belongs to another training (by
        identity, number of steps, names, shapes) counts as none, and the log says so.
        """
        self._since = time.monotonic()
        try:
            if not self.path.exists():
                return 0
            done, tensors = self._read(total)
            _check(tensors, model)
        except (OSError, ValueError, SafetensorError) as error:
            self._log(f"{self.path}: not used, training starts from its first step: {error}")
            return 0
        _restore(tensors, model, optimizer)
        return done

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._since >= self._every_s

    def save(self, done: int, total: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Save the state after ``done`` of ``total`` steps; returns whether that worked.

        If it did not (a full disk), the log says so once, and the previous state is kept.
        """
        tensors = _collect(model, optimizer)
        metadata = {"identity": self._identity, "done": str(done), "total": str(total)}
        metadata["crc32"] = _checksum(tensors, metadata)
        temporary = self.path.with_name(f".{FILE}.{uuid.uuid4().hex[:8]}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write(tensors, temporary, metadata)
            temporary.replace(self.path)
        except (OSError, SafetensorError) as error:  # safetensors reports a full disk by its own error
            if not self._reported:
                self._log(f"{self.path}: the training's state could not be saved, training continues: {error}")
            self._reported = True
            return False
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._since = time.monotonic()
        return True

    def clear(self) -> None:
        """Remove the folder, if it exists."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _read(self, total: int) -> tuple[int, Tensors]:
        # Not memory-mapped: if another process removes a mapped file on NFS, reading it kills this process.
        with safe_open(self.path, framework="pt", backend="pread") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != self._identity:
                raise ValueError("it belongs to another training")
            if metadata.get("total") != str(total):
                raise ValueError(f"it is of a training of {metadata.get('total')} steps, this one has {total}")
            tensors = file.get_tensors()
        if metadata.pop("crc32", None) != _checksum(tensors, metadata):
            raise ValueError("its contents are damaged")
        return int(metadata["done"]), tensors


def _trained(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _model_tensors(model: torch.nn.Module) -> Tensors:
    """The model's tensors by their names in the file; with all buffers, since any could be changed by training."""
    parameters = {f"parameter/{name}": parameter.detach() for name, parameter in _trained(model)}
    return parameters | {f"buffer/{name}": buffer for name, buffer in model.named_buffers()}


def _collect(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    tensors = _model_tensors(model)
    for name, parameter in _trained(model):
        tensors |= {f"{kind}/{name}": value for kind, value in optimizer.state.get(parameter, {}).items()}
    # Buffers may be views of one another, which safetensors refuses.
    return {
        name: value.cpu().clone(memory_format=torch.contiguous_format)
        if name.startswith("buffer/")
        else value.cpu().contiguous()
        for name, value in tensors.items()
    }


def _check(tensors: Tensors, model: torch.nn.Module) -> None:
    """ValueError if these tensors do not fit the model; a parameter that never had a gradient has no moments."""
    expected = {name: _shape_and_type(value) for name, value in _model_tensors(model).items()}
    for name, parameter in _trained(model):
        if f"step/{name}" in tensors:
            expected |= {f"{kind}/{name}": _shape_and_type(parameter) for kind in MOMENTS}
            expected[f"step/{name}"] = (torch.Size(()), torch.float32)
    found = {name: _shape_and_type(value) for name, value in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(f"it does not fit this model (at {name})")


def _shape_and_type(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _restore(tensors: Tensors, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for name, value in _model_tensors(model).items():
            stored = tensors[name].to(value.device)
            if not torch.equal(value, stored):  # a constant buffer may be a view that cannot be written to
                value.copy_(stored)
    names = {id(parameter): name for name, parameter in _trained(model)}
    order = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        index: {kind: tensors[f"{kind}/{name}"] for kind in (*MOMENTS, "step")}
        for index, name in enumerate(order)
        if f"step/{name}" in tensors
    }
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _checksum(tensors: Tensors, metadata: dict[str, str]) -> str:
    """CRC-32 of the file's contents, 8 hex digits, because safetensors does not detect a flipped bit."""
    total = zlib.crc32(repr(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy(), total)
    return f"{total:08x}"


def _write(tensors: Tensors, path: Path, metadata: dict[str, str]) -> None:
    save_file(tensors, path, metadata=metadata)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
