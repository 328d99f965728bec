"""Which matrices a method stores in another form: settings without torch, and the choice of modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fairshrink.compression._shared.settings import SCOPE, Scope
from fairshrink.models.architecture.families import row_lengths
from fairshrink.settings import Settings

if TYPE_CHECKING:
    import torch

    from fairshrink.models.checkpoint import Checkpoint

GROUPS = (16, 32, 64, 128, 256)
EMBEDDINGS = "also the word embeddings, and with them an output layer that is tied to them; never position embeddings"


class WeightsSettings(Settings):
    """Which matrices are stored in another form."""

    scope: Scope = Field("encoder", description=SCOPE)
    embeddings: bool = Field(False, description=EMBEDDINGS)


def misfits_of_group(group: int | None, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What `misfits` of a method says of groups of inputs that do not divide the rows of a model."""
    wrong = [each for each in row_lengths(config) if group and each % group]
    if not wrong:
        return []
    fitting = [each for each in GROUPS if not any(length % each for length in row_lengths(config))]
    remedy = f"{', '.join(map(str, fitting)) or 'another group'}, or other `models`"
    return [("group", f"groups of {group} weights do not divide rows of {wrong[0]}", remedy)]


def chosen(cp: Checkpoint, settings: WeightsSettings) -> list[str]:
    """Names of the dense modules in scope, one of those that share a parameter; UserError if there is none."""
    from fairshrink.errors import UserError
    from fairshrink.models.architecture.blocks import linear_names
    from fairshrink.models.stored_forms._shared.coded import word_embeddings

    embeddings = [word_embeddings(cp.model)] if settings.embeddings else []
    owners: dict[int, str] = {}
    for name in [*embeddings, *linear_names(cp.model, settings.scope)]:
        owners.setdefault(id(cp.model.get_submodule(name).weight), name)
    if len(owners) == len(embeddings):
        raise UserError(
            f"scope {settings.scope!r}: there is no dense linear layer; it has been compressed by another method, "
            "which has to come last"
        )
    return list(owners.values())


def weights_of(module: torch.nn.Module) -> torch.Tensor:
    """The weights of a dense linear layer as [outputs, inputs], or of embeddings as [words, width]."""
    from fairshrink.models.architecture.linear import LINEAR, matrix

    return matrix(module) if isinstance(module, LINEAR) else module.weight.detach()
