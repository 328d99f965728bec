"""A file from any address, checked against its sha256; an archive is unpacked where members are named.

`file://` addresses serve machines that are cut off.

Pin: `sha256` of the file, and the chosen members or the file's name; the address does not count.
Network: The address, at the first fetch. Files are kept by their checksum in `data/.archives/`, so that another study
    needs no network.
Limits: An address that disappears cannot be fetched again; a copy that was shared through DVC still restores.
Use:
    lists:
      source: url
      url: https://example.org/word_lists.zip
      sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
      members: ["word_lists/*"]
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from fairshrink.contracts import CodeEntry
from fairshrink.settings import FetchedSettings, Inside
from fairshrink.sources._shared.formats import is_allowed, why


class Settings(FetchedSettings):
    """Settings of a file at an address."""

    url: str = Field(pattern="^(https?|file)://.+", description="its address")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="checksum of the file, 64 hex digits")
    members: list[Inside] | None = Field(
        None,
        min_length=1,
        description="what to unpack of an archive (zip, tar.gz, tar.xz): globs over member names; "
        "`outer.tar.gz!inner/*` reaches into an archive",
    )
    name: str | None = Field(
        None, pattern=r"^[^/\\.][^/\\]*$", description="file name; the last part of the address unless given"
    )

    @model_validator(mode="after")
    def _safe(self) -> Self:
        name = _name(self)
        if not self.members and not is_allowed(name):
            raise ValueError(why(name).replace("; ", "; write `name: …` with the ending of what it is, or "))
        return self


def pin(settings: Settings) -> dict[str, Any]:
    """The checksum identifies the file, wherever it comes from."""
    taken = {"members": sorted(set(settings.members))} if settings.members else {"name": _name(settings)}
    return {"sha256": settings.sha256} | taken


def code(settings: Settings) -> tuple[CodeEntry, ...]:
    """Nothing that is found by its name."""
    return ()


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """Fill ``target`` with the file, or with the chosen members of the archive. UserError if something is wrong."""
    from fairshrink.sources._shared.archives import unpack
    from fairshrink.sources._shared.transfer import download, public
    from fairshrink.store.artifacts import file_digests

    name = _name(settings)
    file = download(settings.url, settings.sha256, cache, name, settings.most)
    if settings.members:
        unpack(file, name, settings.members, target, name, settings.most)
    else:
        shutil.copyfile(file, target / name)
    return {"kind": "url", "url": public(settings.url), "sha256": settings.sha256, "files": file_digests(target)}


def _name(settings: Settings) -> str:
    from urllib.parse import unquote, urlsplit

    last = unquote(urlsplit(settings.url).path).rstrip("/").rsplit("/", 1)[-1]
    return settings.name or last.lstrip(".") or "file"
