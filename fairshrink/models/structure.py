"""How a compressed model's modules differ from those that its config builds, and how to rebuild them.

``structure`` is JSON: {stored form: description}. Each stored form is a module of ``models/stored_forms/`` with
``apply(model, description)`` and ``ORDER`` (lower ones first). They are found by name, so that a new form changes no
key of existing checkpoints or scores: the method that writes a form also uses its module, and so the checkpoint's own
key covers it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fairshrink.errors import UserError

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent / "stored_forms"


def apply(model: torch.nn.Module, structure: dict[str, Any]) -> None:
    """Reshape a newly built model in place; its weights are loaded afterwards."""
    modules = {kind: _module(kind) for kind in structure}
    for kind in sorted(structure, key=lambda kind: (modules[kind].ORDER, kind)):
        modules[kind].apply(model, structure[kind])


def _module(kind: str) -> ModuleType:
    known = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    if kind not in known:
        raise UserError(
            f"checkpoint.json: structure {kind!r} is not known to this version of fairshrink ({', '.join(known)}): "
            "update it, or compute the checkpoint again"
        )
    return importlib.import_module(f"fairshrink.models.stored_forms.{kind}")
