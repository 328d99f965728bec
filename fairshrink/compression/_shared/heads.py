"""Which attention heads are removed, given a score of each, and their removal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from fairshrink.compression._shared.selection import count
from fairshrink.errors import UserError
from fairshrink.models.architecture.heads import head_units
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.stored_forms import removed_heads


def removable(alive: Sequence[np.ndarray]) -> int:
    """How many more units can be removed if each layer keeps one."""
    return sum(int(each.sum()) - 1 for each in alive)


def all_of(model: torch.nn.Module) -> list[np.ndarray]:
    """All units of a model: bool [units] for each layer; UserError where heads cannot be removed."""
    return [np.ones(units, dtype=bool) for units in head_units(model)]


def number_of(sparsity: float, alive: Sequence[np.ndarray]) -> int:
    """How many units a sparsity removes; UserError where so many cannot go."""
    total = sum(len(each) for each in alive)
    number = count(sparsity, total)
    if number > removable(alive):
        largest = removable(alive) / total
        raise UserError(
            f"removing heads: {number} of {total} units (heads, or groups that share keys and values) cannot go, "
            f"because each layer keeps one: write a `sparsity` up to {np.floor(largest * 1000) / 1000}"
        )
    return number


def without_least(scores: Sequence[np.ndarray], alive: Sequence[np.ndarray], number: int) -> list[np.ndarray]:
    """``alive`` without the ``number`` units of lowest score, never the last of a layer; ties by layer, then unit."""
    left = [each.copy() for each in alive]
    order = sorted((float(s), layer, unit) for layer, each in enumerate(scores) for unit, s in enumerate(each))
    for _, layer, unit in order:
        if not number:
            break
        if left[layer][unit] and left[layer].sum() > 1:
            left[layer][unit] = False
            number -= 1
    return left


def layer_normalized(scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Scores divided by their layer's l2 norm; a layer of zeros is not changed."""
    return [each / (np.linalg.norm(each) or 1.0) for each in scores]


def keep(cp: Checkpoint, alive: Sequence[np.ndarray]) -> Checkpoint:
    """The checkpoint without the other units, in place; ``alive``: bool [units] for each layer."""
    kept = {str(i): np.flatnonzero(each).tolist() for i, each in enumerate(alive) if not each.all()}
    removed_heads.apply(cp.model, kept)
    if not kept:
        return dataclasses.replace(cp, path=None)
    original = removed_heads.renumbered(cp.structure.get("removed_heads", {}), kept)
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "removed_heads": original})
