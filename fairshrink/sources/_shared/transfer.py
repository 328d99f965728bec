"""Downloads over HTTP(S) or from files, cached by their checksum and never used before it is checked."""

from __future__ import annotations

import base64
import io
import time
import urllib.error
import urllib.request
import uuid
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

from fairshrink.errors import UserError
from fairshrink.log import log, progress
from fairshrink.sources._shared.limits import too_much
from fairshrink.store.artifacts import file_digest
from fairshrink.store.places import DISK_FULL

TRIES = 3
BACKOFF_S = 0.5
TIMEOUT_S = 60
CHUNK = 1 << 20
LARGEST_PAGE = 10**8
"""Bytes of an index page at most."""
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


def download(url: str, sha256: str, cache: Path, what: str, most: int) -> Path:
    """The file at ``url`` as ``cache/<sha256>``; not downloaded if it is there and intact.

    ``what`` names the download in messages. Raises UserError if the server does not respond in three tries, the
    checksum differs, or there are more than ``most`` bytes; what was in the cache before is kept.
    """
    if intact := cached(sha256, cache):
        return intact
    cache.mkdir(parents=True, exist_ok=True)
    part = cache / f".{sha256}.{uuid.uuid4().hex[:8]}.part"
    try:
        log(f"{what}: downloading {public(url)}")
        with part.open("wb") as sink:
            _transfer(url, sink, what, "*/*", most)
        found = file_digest(part)
        if found != sha256:
            raise UserError(
                f"{what}: {public(url)} has the checksum\n    sha256: {found}\nand the study expects\n"
                f"    sha256: {sha256}\nThe file was not kept. Fix `sha256` if it was copied wrongly; if the "
                "publisher replaced the file, look at the new one before changing the pin."
            )
        part.replace(cache / sha256)
    finally:
        part.unlink(missing_ok=True)
    return cache / sha256


def cached(sha256: str, cache: Path) -> Path | None:
    """The file with that checksum in the cache, read and compared; None if there is none or it is damaged."""
    target = cache / sha256
    return target if target.is_file() and file_digest(target) == sha256 else None


def get(url: str, what: str, accept: str) -> bytes:
    """A small document. UserError if the server does not respond, or does not stop."""
    sink = io.BytesIO()
    _transfer(url, sink, what, accept, LARGEST_PAGE)
    return sink.getvalue()


def public(url: str) -> str:
    """The address without a user name and password, for messages and records."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _transfer(url: str, sink: BinaryIO, what: str, accept: str, most: int) -> None:
    """Fill the sink; a broken connection is resumed where it broke, if the server supports that."""
    for attempt in range(1, TRIES + 1):
        try:
            _attempt(url, sink, what, accept, most)
            return
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise
            if attempt == TRIES or (isinstance(error, urllib.error.HTTPError) and error.code not in TRANSIENT):
                raise UserError(_explanation(url, what, error)) from error
            log(f"{what}: {error}; trying again ({attempt + 1} of {TRIES})")
            time.sleep(BACKOFF_S * 2**attempt)


def _explanation(url: str, what: str, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        remedy = "check the names in the study" if error.code in (404, 410) else "try later, or check your access to it"
        return f"{what}: {public(url)} responded {error.code} {error.reason}; {remedy}"
    reason = getattr(error, "reason", None) or error
    return f"{what}: {public(url)} cannot be reached ({reason}); check the network and the address, and run again"


def _attempt(url: str, sink: BinaryIO, what: str, accept: str, most: int) -> None:
    done = sink.tell()
    with urllib.request.urlopen(_request(url, accept, done), timeout=TIMEOUT_S) as response:
        if done and getattr(response, "status", None) != 206:
            sink.seek(0)
            sink.truncate()
        length = response.headers.get("Content-Length")
        expected = None if length is None else sink.tell() + int(length)
        if expected is not None and expected > most:
            raise UserError(f"{what}: {public(url)} has {too_much(expected, most)}")
        _copy(response, sink, expected, what, url, most)
        if expected is not None and sink.tell() != expected:
            raise OSError(f"the connection ended after {sink.tell()} of {expected} bytes")


def _request(url: str, accept: str, done: int) -> urllib.request.Request:
    headers = {"Accept": accept, "User-Agent": "fairshrink"}
    if done:
        headers["Range"] = f"bytes={done}-"
    parts = urlsplit(url)
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    return urllib.request.Request(public(url), headers=headers)


def _copy(response: BinaryIO, sink: BinaryIO, expected: int | None, what: str, url: str, most: int) -> None:
    with progress(what, expected, "B") as report:
        while chunk := response.read(CHUNK):
            sink.write(chunk)
            if sink.tell() > most:
                raise UserError(f"{what}: {public(url)} sends {too_much(None, most)}")
            report(sink.tell())
