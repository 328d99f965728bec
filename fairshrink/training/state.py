"""How far a training has come, on disk, so that one that was pre-empted or killed goes on instead of starting again.

One safetensors file holds the parameters that train, all buffers, AdamW's moments, and in its metadata the number of
steps done. It is replaced in one move, so whatever happens while it is written, the one from before stays whole.
On the same device with as many threads, a training that goes on from it ends with the same bits as an undisturbed one.
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
    """The state of one training in a folder of its own; nothing that goes wrong with it ends the training.

    ``identity`` says which training this is (an artifact's key): the state of another one is not used. ``every_s``:
    seconds from one saving to the next. Several processes may share the folder.
    """

    def __init__(self, folder: Path, identity: str, log: Callable[[str], None], every_s: float = 300.0) -> None:
        self.path = folder / FILE
        self._identity, self._every_s, self._log = identity, every_s, log
        self._since = time.monotonic()
        self._complained = False

    def load(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, total: int) -> int:
        """Put model and optimizer where they were, and return how many of ``total`` steps are done.

        0, with both left as they are, where there is no state. One that is damaged or is of another training (by
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
        """Keep the state after ``done`` of ``total`` steps; whether that worked.

        Where it did not (a full disk), the log says so once, and the state from before stays.
        """
        tensors = _collect(model, optimizer)
        about = {"identity": self._identity, "done": str(done), "total": str(total)}
        about["crc32"] = _checksum(tensors, about)
        temporary = self.path.with_name(f".{FILE}.{uuid.uuid4().hex[:8]}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write(tensors, temporary, about)
            temporary.replace(self.path)
        except (OSError, SafetensorError) as error:  # safetensors reports a full disk by an error of its own
            if not self._complained:
                self._log(f"{self.path}: the training's state could not be saved, training goes on without: {error}")
            self._complained = True
            return False
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._since = time.monotonic()
        return True

    def clear(self) -> None:
        """Remove the folder, whether it is there or not."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _read(self, total: int) -> tuple[int, Tensors]:
        # Not mapped into memory: where another process removes a mapped file on NFS, reading it ends the process.
        with safe_open(self.path, framework="pt", backend="pread") as file:
            about = file.metadata() or {}
            if about.get("identity") != self._identity:
                raise ValueError("it belongs to another training")
            if about.get("total") != str(total):
                raise ValueError(f"it is of {about.get('total')} steps, this training has {total}")
            tensors = file.get_tensors()
        if about.pop("crc32", None) != _checksum(tensors, about):
            raise ValueError("its contents are damaged")
        return int(about["done"]), tensors


def _trained(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def _held(model: torch.nn.Module) -> Tensors:
    """What the model contributes, by its names in the file: all buffers, since any could be changed by training."""
    parameters = {f"parameter/{name}": parameter.detach() for name, parameter in _trained(model)}
    return parameters | {f"buffer/{name}": buffer for name, buffer in model.named_buffers()}


def _collect(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    tensors = _held(model)
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
    """ValueError unless these are the tensors of such a model; a parameter that never had a gradient has no moments."""
    expected = {name: _form(value) for name, value in _held(model).items()}
    for name, parameter in _trained(model):
        if f"step/{name}" in tensors:
            expected |= {f"{kind}/{name}": _form(parameter) for kind in MOMENTS}
            expected[f"step/{name}"] = (torch.Size(()), torch.float32)
    found = {name: _form(value) for name, value in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(f"it does not fit this model (at {name})")


def _form(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _restore(tensors: Tensors, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for name, value in _held(model).items():
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


def _checksum(tensors: Tensors, about: dict[str, str]) -> str:
    """CRC-32 of what the file holds, 8 hex digits: safetensors would read a file with a flipped bit."""
    total = zlib.crc32(repr(sorted(about.items())).encode())
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy(), total)
    return f"{total:08x}"


def _write(tensors: Tensors, path: Path, about: dict[str, str]) -> None:
    save_file(tensors, path, metadata=about)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
