"""Which weights of each output of a layer go: the lowest scores of a row, or of each few inputs in a row.

Without torch where a study is read: settings and checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field, model_validator

from fairshrink.compression._shared.settings import ScopedSparsitySettings
from fairshrink.models.architecture.families import row_lengths

if TYPE_CHECKING:
    import torch

Pattern = Literal["unstructured", "2:4", "4:8"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


class PatternSettings(ScopedSparsitySettings):
    """How many weights are removed, from which layers, and whether evenly along the inputs."""

    pattern: Pattern = Field(
        "unstructured",
        description="`2:4`: of each 4 consecutive inputs of an output 2 weights are removed, as GPUs multiply them "
        "faster; `4:8`: 4 of each 8; `sparsity` is 0.5 then",
    )

    @model_validator(mode="after")
    def _half(self) -> PatternSettings:
        if self.pattern != "unstructured" and self.sparsity != 0.5:
            raise ValueError(f"`pattern: '{self.pattern}'` removes half of the weights: write `sparsity: 0.5`")
        return self


def misfits_of_pattern(settings: PatternSettings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What `misfits` of a method says of a pattern that does not divide the rows of a model with this config.json."""
    width = group(settings.pattern)
    wrong = [each for each in row_lengths(config) if width and each % width]
    if not wrong:
        return []
    reason = f"{settings.pattern} is in groups of {width} inputs, which do not divide rows of {wrong[0]}"
    return [("pattern", reason, "unstructured, or other `models`")]


def group(pattern: Pattern) -> int | None:
    """How many consecutive inputs a pattern is about; None if it is about all."""
    return None if pattern == "unstructured" else int(pattern.partition(":")[2])


def lowest_in_rows(scores: torch.Tensor, number: int) -> torch.Tensor:
    """Bool [rows, k], True at the ``number`` lowest scores of each row, the first ones of equal scores."""
    import torch

    if not number:
        return torch.zeros_like(scores, dtype=torch.bool)
    scores = scores.nan_to_num(nan=torch.inf, posinf=torch.inf)
    highest = scores.kthvalue(number, dim=1).values[:, None]  # much faster than sorting
    below, equal = scores < highest, scores == highest
    return below.logical_or_(equal & (equal.cumsum(1) <= number - below.sum(1, keepdim=True)))


def removed(scores: torch.Tensor, sparsity: float, pattern: Pattern) -> torch.Tensor:
    """Which of the weights [out, in] go: the lowest scores of each output, or of each group of its inputs.

    UserError if the groups do not divide the inputs.
    """
    from fairshrink.compression._shared.selection import count

    width = group(pattern)
    if width is None:
        return lowest_in_rows(scores, count(sparsity, scores.shape[1]))
    check_divides(pattern, scores.shape[1])
    return lowest_in_rows(scores.reshape(-1, width), width // 2).reshape(scores.shape)


def check_divides(pattern: Pattern, inputs: int) -> None:
    """UserError if a pattern's groups do not divide a layer's inputs."""
    from fairshrink.errors import UserError

    width = group(pattern)
    if width and inputs % width:
        raise UserError(
            f"pattern {pattern!r}: groups of {width} inputs do not divide the {inputs} inputs of a layer; write "
            "`pattern: unstructured`, or another `scope`"
        )
