"""The format and location of a table of examples, as a study gives it and as a job gets it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fairshrink.settings import Settings

Role = Literal["text", "text_pair", "label"]


class TableFormat(Settings):
    """How a table of examples is read."""

    file: str | list[str] = Field(description="file(s) inside the download; several are read one after another")
    format: Literal["csv", "tsv", "jsonl", "parquet"] = Field(description="csv, tsv, jsonl or parquet")
    columns: dict[Role, str | int] = Field(
        description="which column holds text, text_pair (for pairs) and label: a name, or a number counted from 0"
    )
    header: bool = Field(True, description="whether the first line names the columns (csv, tsv)")
    encoding: str = Field("utf-8", description="text encoding (csv, tsv, jsonl)")
    quoting: bool | None = Field(None, description="whether quotes enclose fields; by default yes for csv, no for tsv")
    labels: list[str] | None = Field(
        None, description="classification: label names, in the order of the numbers in the file"
    )

    @property
    def files(self) -> list[str]:
        """The files as a list, even if there is only one."""
        return [self.file] if isinstance(self.file, str) else list(self.file)

    @property
    def separator(self) -> str:
        """The separator between the fields of a csv or tsv file."""
        return "," if self.format == "csv" else "\t"

    @property
    def quoted(self) -> bool:
        """Whether quotes enclose the fields of a csv or tsv file."""
        return self.format == "csv" if self.quoting is None else self.quoting


class Table(TableFormat):
    """A table of examples inside a download."""

    download: str = Field(description="name of an entry under `downloads`")


class TableReference(TableFormat):
    """A table of examples in a local folder."""

    path: str = Field(description="folder of the download")
