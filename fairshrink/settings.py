"""The base of every block of settings in a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

LARGEST = 2**31 - 1
"""Of whole numbers: seeds of all libraries, and more than any count here means."""


def inside(path: str) -> str:
    """A path or glob that leads nowhere but below the folder it is relative to. Raises ValueError for others."""
    parts = path.split("/")
    if not path.isprintable() or "\\" in path:
        raise ValueError("a path with control characters or backslashes; write it with /")
    if path.startswith(("/", "~")) or ".." in parts or not path.strip():
        raise ValueError("a path that leads out of its folder; write it relative to that, without ..")
    return path


Inside = Annotated[str, AfterValidator(inside)]
"""A path of which no part leads out of the folder that it is relative to."""


def plain(path: str) -> str:
    """A path in its shortest form, so that ``./a//b/`` and ``a/b`` are one."""
    return "/".join(part for part in path.split("/") if part not in ("", ".")) or "."


Below = Annotated[Inside, AfterValidator(plain)]
"""The same of one file or folder, in its shortest form."""


class Settings(BaseModel):
    """A frozen block of settings that rejects unknown keys, and values that YAML made something else of."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_meant(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        if field.default is None and value == []:
            raise ValueError("an empty list; leave the key out, or name something")
        kinds = set(_leaves(field.annotation))
        if kinds & {int, float}:
            for each in value if isinstance(value, list | tuple) else [value]:
                _check_number(each, kinds)
        return value


def _check_number(value: object, kinds: set[Any]) -> None:
    if isinstance(value, bool) and bool not in kinds:
        raise ValueError("YAML reads yes, no, on, off, true and false as true or false; write a number")
    if isinstance(value, str) and str not in kinds:
        raise ValueError(f"'{value}' is text; write a number, without quotes")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{value} is too large; at most {LARGEST}")


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of."""
    arguments = () if get_origin(annotation) is Literal else get_args(annotation)
    yield from (leaf for each in arguments for leaf in _leaves(each)) if arguments else (annotation,)


GB = 10**9
"""Bytes in the unit of limits."""


class SourceSettings(Settings):
    """The settings of a download's source."""

    @property
    def local(self) -> Path | None:
        """The local file or folder that the download copies; None for downloads that are fetched or generated."""
        return None

    @property
    def offered_splits(self) -> Sequence[str] | None:
        """The splits that tables can name, any where it is empty; None for downloads whose tables are files."""
        return None

    @property
    def rows(self) -> int | None:
        """How many rows its one table will have; None where the settings do not say it."""
        return None

    def recalled(self, pin: Mapping[str, Any]) -> Self:
        """The same settings of a local source that is not on this machine, with what it was pinned by elsewhere."""
        return self

    def anchored(self, folder: Path) -> Self:
        """The same settings with paths relative to ``folder``, not to where the workflow is started."""
        return self


class FetchedSettings(SourceSettings):
    """The settings of a download that comes from elsewhere; its limit is in no key."""

    max_gb: float = Field(20.0, gt=0, description="the most that is fetched, and the most that it unpacks to, in GB")

    @property
    def most(self) -> int:
        """The limit in bytes."""
        return round(self.max_gb * GB)
