"""Quantizing matrices of a checkpoint to packed codes of 1 to 8 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import torch

from fairshrink.compression._shared.calibration import Calibrated, calibration_texts, walk
from fairshrink.compression._shared.moments import Moment
from fairshrink.compression._shared.weights import WeightsSettings, chosen, weights_of
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.stored_forms import packed
from fairshrink.models.stored_forms.packed import Levels, Rounded

if TYPE_CHECKING:
    from fairshrink.compression.quantization._shared.settings import CalibratedBits
    from fairshrink.contracts import Context

Rounding = Callable[[str, torch.Tensor, Levels], Rounded]
"""Rounds the weights [outputs, inputs] of the module of a name."""


def to_nearest(name: str, weights: torch.Tensor, levels: Levels) -> Rounded:
    """Each weight to its nearest level."""
    return packed.quantize(weights, levels)


def pack(cp: Checkpoint, names: Iterable[str], levels: Levels, rounding: Rounding = to_nearest) -> Checkpoint:
    """Store the named modules packed, in place, one after the other; what cannot be packed changes nothing."""
    wanted = list(names)
    for name in wanted:  # before anything is changed
        levels.groups(weights_of(cp.model.get_submodule(name)).shape[1])
    for name in wanted:
        rounded = rounding(name, weights_of(cp.model.get_submodule(name)).float(), levels)
        packed.replace(cp.model, name, levels).fill(rounded)
    return recorded(cp, dict.fromkeys(wanted, levels))


def recorded(cp: Checkpoint, found: dict[str, Levels]) -> Checkpoint:
    """The checkpoint with these modules in its structure, and in eval mode."""
    cp.model.eval()
    description = cp.structure.get("packed", {}) | {name: packed.described(each) for name, each in found.items()}
    return dataclasses.replace(cp, path=None, structure={**cp.structure, "packed": description})


def calibrated(
    cp: Checkpoint, settings: CalibratedBits, levels: Levels, context: Context, method: str, wanted: set[Moment]
) -> Iterator[list[Calibrated]]:
    """The dense layers in scope, stage by stage with moments of their inputs; layers that share weights once.

    UserError, before anything is changed, where the group does not divide a row or there is nothing to calibrate on.
    """
    names = chosen(cp, WeightsSettings(scope=settings.scope))
    for name in names:
        levels.groups(weights_of(cp.model.get_submodule(name)).shape[1])
    yield from walk(cp, calibration_texts(cp, settings, context, method), names, wanted)
