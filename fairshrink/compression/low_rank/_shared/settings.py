"""How much of a matrix is kept: settings without torch, and whether they fit a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from fairshrink.compression._shared.settings import SCOPE, Scope
from fairshrink.models.architecture.families import row_lengths
from fairshrink.settings import Settings


class RankSettings(Settings):
    """The rank of the products, said for all matrices or as a share of each one's parameters."""

    rank: int | None = Field(None, ge=1, description="rank of every product; either this or `parameters_kept`")
    parameters_kept: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of a matrix's parameters that its two factors have at most; 1 changes nothing",
    )
    scope: Scope = Field("encoder", description=SCOPE)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.rank is None) == (self.parameters_kept is None):
            raise ValueError("write either `rank` or `parameters_kept`")
        return self

    def rank_of(self, outputs: int, inputs: int) -> int | None:
        """The rank of a matrix's product; None where the matrix stays, because its factors would not be smaller."""
        most, share = outputs * inputs, self.parameters_kept or 1.0
        if self.rank is None and share == 1:
            return None
        rank = self.rank or max(1, int(share * most / (outputs + inputs)))
        return rank if rank * (outputs + inputs) < most else None


def misfits_of_rank(settings: RankSettings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What `misfits` of a method says of a rank above that of the matrices of a model."""
    most = min(row_lengths(config), default=None)
    if settings.rank is None or most is None or settings.rank <= most:
        return []
    return [("rank", f"no matrix with rows of {most} has the rank {settings.rank}", f"less than {most // 2}")]
