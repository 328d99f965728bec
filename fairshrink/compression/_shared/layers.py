"""Removal of whole layers: settings, checks, and the smaller checkpoint. Without torch where a study is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.models.architecture.families import number_of_layers
from fairshrink.settings import Settings

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint

BY_LAYER = ("removed_heads", "removed_neurons")
"""Stored forms that are described by the numbers of layers."""


class LayersSettings(Settings):
    """How many layers are removed."""

    layers: int = Field(ge=0, description="how many transformer blocks are removed; the first one stays")


def misfits_of_layers(layers: int, config: Mapping[str, Any], half: bool = False) -> list[tuple[str, str, str]]:
    """What `misfits` of a method says of more layers than a model has, or than half of them."""
    total = number_of_layers(config)
    if total is None:
        return []
    most = total // 2 if half else total - 1
    if layers <= most:
        return []
    why = "every second can go" if half else "the first stays"
    return [("layers", f"{layers} layers cannot go of {total}, as {why}", f"at most {most}, or other `models`")]


def without_layers(cp: Checkpoint, choose: Callable[[int], Iterable[int]], number: int) -> Checkpoint:
    """The checkpoint without the ``number`` layers that ``choose`` names of a total, numbered from 0, in place.

    UserError if it names fewer, or if the layers' numbers are in a stored form that cannot be renumbered.
    """
    from fairshrink.errors import UserError
    from fairshrink.models.architecture.layers import keep_layers, layer_count

    total = layer_count(cp.model)
    if not number:
        return cp
    others = sorted(set(cp.structure) - set(BY_LAYER))
    if others:
        raise UserError(f"remove layers before other compressions, here {', '.join(others)}")
    gone = set(choose(total)) if number < total else set()
    if len(gone) < number:
        raise UserError(f"{number} layers cannot be removed of {total}: write a smaller number of `layers`")
    kept = [each for each in range(total) if each not in gone]
    keep_layers(cp.model, kept)
    structure = {
        form: {str(new): each[str(old)] for new, old in enumerate(kept) if str(old) in each}
        for form, each in cp.structure.items()
    }
    return dataclasses.replace(cp, path=None, structure={form: each for form, each in structure.items() if each})
