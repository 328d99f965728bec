"""Settings that say how a student differs from its teacher; without torch, because validating a study imports them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fairshrink.compression._shared.settings import FittingSettings


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
