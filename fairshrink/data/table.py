"""The format and location of a table of examples, as a study gives it and as a job gets it."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from fairshrink.errors import brief
from fairshrink.settings import Below, Settings

Role = Literal["text", "text_pair", "label"]
Said = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
"""A label as text; YAML's numbers, true, false and null are put in words."""


def said(value: object) -> str:
    """A label of a study as text: 1 is "1", true is "true", null is "". Raises ValueError for what is no label."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{brief(value)} is no label: labels are texts, numbers, true or false; put quotes around it")


def each_once(value: str | list[str] | None) -> list[str]:
    """The names as a list. Raises ValueError for a file that is named twice."""
    names = [posixpath.normpath(name) for name in value] if isinstance(value, list) else [value] if value else []
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: named twice, so that its rows would count twice; name each file once")
    return names


class TableFormat(Settings):
    """How a table of examples is read."""

    file: Below | Annotated[list[Below], Field(min_length=1)] | None = Field(
        None,
        description="file(s) inside the download, also packed by gzip, bzip2 or xz; several are read one after another",
    )
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = Field(
        None, description="csv, tsv, jsonl or parquet; needed with `file`"
    )
    split: str | None = Field(None, description="instead of `file` and `format`: a split of a data set from the hub")
    columns: dict[Role, str | Annotated[int, Field(ge=0)]] = Field(
        description="which column holds text, text_pair (for pairs) and label: a name, or a number counted from 0"
    )
    header: bool = Field(True, description="whether the first line names the columns (csv, tsv)")
    encoding: str = Field("utf-8", description="text encoding (csv, tsv, jsonl); a byte-order mark is left out")
    separator: str | None = Field(
        None, description='one character between fields (csv, tsv); by default a comma or a tab, ";" for many exports'
    )
    quoting: bool | None = Field(None, description="whether quotes enclose fields; by default yes for csv, no for tsv")
    labels: list[Said] | dict[str, Said] | None = Field(
        None,
        description="classification: label names as the file writes them, or a mapping from what the file writes to "
        "names (`{0: entailment, 1: neutral, 2: contradiction}`); in the order of the model's outputs. Of a `split` "
        "whose labels are named classes they may be left out",
    )
    drop_labels: list[Said] = Field(
        [], description='rows with these labels are left out, for example `["-"]` where people did not agree'
    )

    @field_validator("file")
    @classmethod
    def _one_as_itself(cls, value: Any) -> Any:
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    @field_validator("columns", mode="before")
    @classmethod
    def _no_yaml_booleans(cls, value: Any) -> Any:
        for role, column in value.items() if isinstance(value, Mapping) else ():
            if isinstance(column, bool):
                raise ValueError(
                    f"{role}: YAML reads yes, no, on, off, true and false without quotes as true or false; "
                    "put the column's name in quotes"
                )
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            io.TextIOWrapper(io.BytesIO(b"a"), encoding=value).read()
        except (LookupError, ValueError) as error:
            # A lone byte is no text in some of the known encodings.
            if not isinstance(error, UnicodeDecodeError):
                raise ValueError(
                    f"there is no text encoding '{value}'; for example utf-8, latin-1, cp1252, utf-16"
                ) from error
        return value

    @field_validator("file")
    @classmethod
    def _each_once(cls, value: str | list[str] | None) -> str | list[str] | None:
        each_once(value)
        return value

    @field_validator("separator")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in '"\r\n\0'):
            raise ValueError('a separator is one character, no quote and no line break, for example ";" or "\\t"')
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_as_text(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            named = {said(key): said(name) for key, name in value.items()}
            if len(named) != len(value):
                raise ValueError("two keys of `labels` say the same")
            value, names = named, list(dict.fromkeys(named.values()))
        elif isinstance(value, list | tuple):
            value = names = [said(name) for name in value]
        else:
            return value
        if not names or "" in names:
            raise ValueError("a label has no name")
        for name in names:
            same = [each for each in names if each.strip().casefold() == name.strip().casefold()]
            if len(same) > 1:
                raise ValueError(f"the labels {' and '.join(same)} are the same but for case")
        return value

    @field_validator("drop_labels", mode="before")
    @classmethod
    def _dropped_as_text(cls, value: Any) -> Any:
        return [said(each) for each in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.split is None:
            absent = [name for name, value in (("file", self.file), ("format", self.format)) if value is None]
            if absent:
                raise ValueError(
                    f"`{absent[0]}` is missing; add `{absent[0]}: …`, or `split: …` of a data set of the hub"
                )
        elif self.file is not None or self.format is not None:
            raise ValueError("`split` stands instead of `file` and `format`; leave one or the other out")
        elif any(isinstance(column, int) for column in self.columns.values()):
            raise ValueError("columns of a `split` have names; write these instead of numbers")
        if self.split is not None or self.format in ("jsonl", "parquet"):
            given = {"separator": self.separator, "quoting": self.quoting, "header": None if self.header else False}
            for name, value in given.items():
                if value is not None:
                    raise ValueError(f"`{name}` is for csv and tsv; leave it out for {self.format or 'a split'}")
        if self.drop_labels and "label" not in self.columns:
            raise ValueError("`drop_labels` needs a column for label; name it under `columns`")
        named = [column for role, column in self.columns.items() if role != "label"]
        if len(set(named)) != len(named):
            raise ValueError(f"text and text_pair are both the column {named[0]!r}; name the other one")
        kept = sorted(set(self.drop_labels) & set(self.labels or ()))
        if kept:
            raise ValueError(f"{', '.join(kept)}: under `labels` and `drop_labels`; leave one of the two out")
        return self

    @property
    def files(self) -> list[str]:
        """The files as a list, even if there is only one; none of a split."""
        return [self.file] if isinstance(self.file, str) else list(self.file or ())

    @property
    def delimiter(self) -> str:
        """The separator between the fields of a csv or tsv file."""
        return self.separator or ("," if self.format == "csv" else "\t")

    @property
    def quoted(self) -> bool:
        """Whether quotes enclose the fields of a csv or tsv file."""
        return self.format == "csv" if self.quoting is None else self.quoting

    @property
    def label_names(self) -> list[str] | None:
        """Names of the labels, in the order of the model's outputs; None where labels are numbers."""
        if isinstance(self.labels, dict):
            return list(dict.fromkeys(self.labels.values()))
        return self.labels

    @property
    def names_by_label(self) -> dict[str, str]:
        """From a label as the file writes it to its name."""
        return self.labels if isinstance(self.labels, dict) else {name: name for name in self.labels or ()}


class Table(TableFormat):
    """A table of examples inside a download."""

    download: str = Field(description="name of an entry under `downloads`")


class TableReference(TableFormat):
    """A table of examples in a local folder."""

    path: str = Field(description="folder of the download")
    named: bool = Field(False, description="whether labels are names, also where `labels` does not list them")
