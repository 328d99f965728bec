"""Any checkpoint as a folder that plain transformers loads to the same outputs, where it can.

Codes, factors, shared and sparse matrices become the dense matrices that they stand for. What plain transformers has no
place for is refused: activations that are rounded, and layers of different sizes under one config. The folder is read
back by plain transformers and its outputs are compared before it is taken for good.
"""

from __future__ import annotations

from pathlib import Path

import torch

from fairshrink.errors import UserError
from fairshrink.models import reference
from fairshrink.models.architecture.linear import output_dim
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.pretrained import plain_lengths, quiet
from fairshrink.models.stored_forms._shared.coded import Coded
from fairshrink.models.stored_forms.int8 import Int8Linear
from fairshrink.models.task_heads import build, published


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
    model = build(cp.model.config, cp.head)
    stored, found = cp.model.state_dict(), {}
    for name, value in model.state_dict().items():
        owner, _, part = name.rpartition(".")
        module = cp.model.get_submodule(owner)
        if part == "weight" and isinstance(module, Coded | Int8Linear):
            weights = _decoded(module, owner)
            mine = model.get_submodule(owner)
            transposed = not isinstance(mine, torch.nn.Embedding) and output_dim(mine) == 1
            found[name] = weights.t() if transposed else weights
        else:
            found[name] = stored[name]
        if found[name].shape != value.shape:
            raise UserError(
                f"{owner} has another size than config.json can say ({list(found[name].shape)} instead of "
                f"{list(value.shape)}): heads or neurons were removed from single layers, which plain transformers has "
                "no place for; fairshrink.load_checkpoint reads it"
            )
    model.load_state_dict({name: value.float().cpu() for name, value in found.items()})
    model.tie_weights()
    return model


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
