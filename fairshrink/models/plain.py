"""Any checkpoint as a folder that plain transformers loads to the same outputs, where it can.

Codes, factors, shared and sparse matrices become the dense matrices that they stand for. Heads and neurons that were
removed come back as zeros, since plain transformers has one size for all layers. What it has no place for is refused:
activations, keys and values that are rounded. The folder is read back by plain transformers and its outputs are
compared before it is taken for good.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fairshrink.errors import UserError
from fairshrink.models import reference, structure
from fairshrink.models.architecture.linear import output_dim
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.pretrained import plain_lengths, quiet
from fairshrink.models.stored_forms._shared.coded import Coded
from fairshrink.models.stored_forms.int8 import Int8Linear
from fairshrink.models.task_heads import build, published

REMOVED = ("removed_heads", "removed_neurons")
"""Forms of a structure that leave matrices smaller than config.json says."""


def write(cp: Checkpoint, folder: Path) -> None:
    """Fill an empty folder: ``config.json``, ``model.safetensors``, the tokenizer.

    Weights are float32 where a matrix was decoded, else in the checkpoint's own type. UserError if plain transformers
    cannot hold the model, or computes anything else from the folder.
    """
    model = dense(cp)
    decoded = any(isinstance(each, Coded | Int8Linear) for each in cp.model.modules())
    plain_lengths(cp.tokenizer)
    with quiet():
        model.to(torch.float32 if decoded else getattr(torch, cp.dtype)).save_pretrained(folder)
        cp.tokenizer.save_pretrained(folder)
        again = published(str(folder), model.config.model_type, cp.head, dtype=torch.float32).eval()
    reference.check(cp.model, cp.tokenizer, cp.head, again, folder, whole=True)


@torch.no_grad()
def dense(cp: Checkpoint) -> torch.nn.Module:
    """The model in plain transformers' own modules, in float32 on the CPU. UserError where there is no such form."""
    if "own_runtime" in cp.structure:
        raise UserError(
            "its own runtime computes it, of which transformers knows nothing: the ONNX file that it was made from is "
            "its export (with `runtime: decoded` its weights can be exported)"
        )
    if "kv_cache" in cp.structure:
        raise UserError(
            "keys and values are rounded in its cache, which plain transformers does not do: its outputs would be "
            "others; fairshrink.load_checkpoint reads it (export the checkpoint before that step)"
        )
    model = build(cp.model.config, cp.head)
    removed = {kind: cp.structure[kind] for kind in REMOVED if kind in cp.structure}
    found = _with_zeros(cp, removed) if removed else _as_in(model, cp)
    model.load_state_dict({name: value.float().cpu() for name, value in found.items()})
    model.tie_weights()
    return model


def _with_zeros(cp: Checkpoint, removed: dict[str, Any]) -> dict[str, torch.Tensor]:
    """All weights of the model that config.json describes, those of removed parts 0.

    The same parts are removed from a model whose parameters hold the numbers of their own entries, which says of each
    entry that is left where it was.
    """
    numbered, total = build(cp.model.config, cp.head), 0
    for each in numbered.parameters():
        each.data = torch.arange(total, total + each.numel(), dtype=torch.float64).view(each.shape)
        total += each.numel()
    places = {name: each.long() for name, each in numbered.named_parameters()}
    structure.apply(numbered, removed)
    found, whole = _as_in(numbered, cp), torch.zeros(total)
    for name, each in numbered.named_parameters():
        whole[each.long().flatten()] = found[name].float().cpu().flatten()
    return found | {name: whole[each] for name, each in places.items()}


def _as_in(model: torch.nn.Module, cp: Checkpoint) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by the names of a model of dense modules, in its layout."""
    stored, found = cp.model.state_dict(), {}
    for name in model.state_dict():
        owner, _, part = name.rpartition(".")
        module = cp.model.get_submodule(owner)
        if part == "weight" and isinstance(module, Coded | Int8Linear):
            weights = _decoded(module, owner)
            mine = model.get_submodule(owner)
            transposed = not isinstance(mine, torch.nn.Embedding) and output_dim(mine) == 1
            found[name] = weights.t() if transposed else weights
        else:
            found[name] = stored[name]
    return found


def _decoded(module: torch.nn.Module, name: str) -> torch.Tensor:
    if isinstance(module, Coded):
        return module.decode()
    assert isinstance(module, Int8Linear)
    if module.activations != "none":
        raise UserError(
            f"{name} rounds its inputs to 8 bits, which plain transformers does not: its outputs would be others; "
            "fairshrink.load_checkpoint reads it (int8_weight_only can be exported)"
        )
    return module.codes.float() * module.scales[:, None]
