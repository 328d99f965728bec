"""Settings that say how a student differs from its teacher; without torch, because validating a study imports them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fairshrink.compression._shared.settings import FittingSettings, misfits_of_blocks
from fairshrink.models.architecture.families import number_of_layers


class StudentSettings(FittingSettings):
    """Which blocks a student has, how wide they are, what they start as."""

    student_layers: int | None = Field(None, ge=1, description="how many blocks the student has; by default all")
    choice: Literal["alternate", "first", "last"] = Field(
        "alternate", description="with `student_layers`: which of the teacher's blocks it starts with"
    )
    kept_layers: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="instead of `student_layers`: numbers of the teacher's blocks that it starts with, from 0"
    )
    width: float = Field(1.0, gt=0, le=1, description="share of the teacher's width; below 1 the student starts anew")
    initial: Literal["teacher", "fresh"] = Field("teacher", description="what the student's weights start as")

    @model_validator(mode="after")
    def _smaller(self) -> Self:
        if self.student_layers is None and not self.kept_layers and self.width == 1:
            raise ValueError("the student would be its teacher; write `student_layers`, `kept_layers` or `width`")
        if self.student_layers is not None and self.kept_layers:
            raise ValueError("both say which blocks there are; write one of `student_layers` and `kept_layers`")
        if sorted(set(self.kept_layers)) != self.kept_layers:
            raise ValueError("a block is there twice or out of order; write `kept_layers` in rising order")
        return self


def misfits_of_students(settings: StudentSettings, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What `misfits` says of a student with more blocks than its teacher, or of blocks that one of the two lacks."""
    total = number_of_layers(config)
    if total is None:
        return []
    found = misfits_of_blocks(settings.kept_layers, config, "kept_layers")
    wanted = len(settings.kept_layers) or settings.student_layers or total
    if wanted > total:
        found += [("student_layers", f"the teacher has {total} blocks, and {wanted} are asked for", f"at most {total}")]
    return found + misfits_of_blocks(settings.layers, {"num_hidden_layers": min(wanted, total)})
