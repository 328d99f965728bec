"""The base of every block of settings in a study."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from fairshrink.errors import brief

LARGEST = 2**31 - 1
"""Of whole numbers: seeds of all libraries, and more than any count here means."""
LONGEST_PART, LONGEST_PATH = 255, 1024
"""Bytes of a name of a file or folder on Linux, and of a path where other names are to follow."""


def possible(path: str) -> str:
    """A path that a file can have. Raises ValueError for others."""
    if not path.isprintable():
        raise ValueError("a path with control characters; write it without")
    if any(len(part.encode()) > LONGEST_PART for part in path.split("/")) or len(path.encode()) > LONGEST_PATH:
        raise ValueError("a path that is too long for a file; write a shorter one")
    return path


Possible = Annotated[str, AfterValidator(possible)]
"""A path that a file can have."""


def inside(path: str) -> str:
    """A path or glob that leads nowhere but below the folder it is relative to. Raises ValueError for others."""
    parts = possible(path).split("/")
    if "\\" in path:
        raise ValueError("a path with backslashes; write it with /")
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
        kinds = set(_leaves(field.annotation))
        if Any not in kinds:  # else they are checked one by one later, under their own keys
            _check_types(value)
        if field.default is None and value == []:
            raise ValueError("an empty list; leave the key out, or name something")
        if isinstance(value, Mapping):
            kinds = set(_leaves(_of_values(field.annotation)))
        if kinds & {int, float}:
            for each in _single(value):
                _check_number(each, kinds)
        return value


def _check_types(value: Any) -> None:
    """ValueError where a type that no key has is anywhere in a value; aliases of YAML are looked at once."""
    pending, seen = [value], set[int]()
    while pending:
        each = pending.pop()
        if isinstance(each, datetime.date):
            raise ValueError(f"YAML reads {each} as a date; put quotes around it if it is text")
        if isinstance(each, bytes | set | frozenset):
            raise ValueError(f"{brief(each)} is neither text nor number nor list; write one of these, without a tag")
        if isinstance(each, str) and not each.isascii() and any("\ud800" <= letter <= "\udfff" for letter in each):
            raise ValueError(f"{brief(each)} has half of a character; write it whole")
        if isinstance(each, Mapping | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            pending += [*each, *each.values()] if isinstance(each, Mapping) else each


def _single(value: Any) -> Iterable[Any]:
    """The values that a list or mapping holds, else the one value."""
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else [value]


def _check_number(value: object, kinds: set[Any]) -> None:
    if isinstance(value, bool) and bool not in kinds:
        raise ValueError("YAML reads yes, no, on, off, true and false as true or false; write a number")
    if isinstance(value, str) and str not in kinds:
        raise ValueError(f"{brief(value)} is text; write a number, without quotes")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{brief(value)} is too large; at most {LARGEST}")


def _of_values(annotation: Any) -> Any:
    """The type of the values of a mapping, where an annotation allows one."""
    inner = get_args(annotation)
    if get_origin(annotation) is dict:
        return inner[1]
    return next((found for each in inner if (found := _of_values(each)) is not each), annotation)


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
