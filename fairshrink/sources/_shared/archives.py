"""Unpacking members of zip and tar archives, never outside of the target folder."""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from fairshrink.errors import UserError

CHUNK = 1 << 20
NESTED = "!"
MAX_LISTED = 5
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


def unpack(archive: Path, name: str, patterns: list[str], target: Path, what: str) -> None:
    """Copy the members that match any pattern into ``target``, below their own names.

    A pattern is a glob over member names (``*`` matches ``/`` too); ``outer.tar.gz!inner/*`` reaches into an archive in
    the archive. ``name`` is the archive's name in messages. Raises UserError for a pattern that nothing matches, a
    damaged archive, and a member that would land outside of ``target`` or is not a plain file; ``target`` may then be
    partly filled.
    """
    for pattern in patterns:
        outer, _, inner = pattern.partition(NESTED)
        with archive.open("rb") as stream:
            _unpack(stream, name, outer, inner, target, what)


def _unpack(stream: IO[bytes], name: str, outer: str, inner: str, target: Path, what: str) -> None:
    names: list[str] = []
    found = 0
    try:
        for member, content in _members(stream, name, outer, names, what):
            found += 1
            if inner:
                _unpack(io.BytesIO(content.read()), member, inner, "", target, what)
            else:
                _write(content, member, target, what)
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"{what}: {name} cannot be unpacked, it is damaged, truncated or not a zip or tar archive ({error}); "
            "name another file in the study, or ask its publisher"
        ) from error
    if not found:
        raise UserError(f"{what}: members: nothing in {name} matches '{outer}'; {_closest(names, outer)}")


def _members(
    stream: IO[bytes], name: str, pattern: str, names: list[str], what: str
) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of the files that match; ``names`` collects those of all."""
    is_zip = stream.read(2) == b"PK"
    stream.seek(0)
    if is_zip:
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                if info.is_dir() or not _matches(info.filename, pattern, names):
                    continue
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise UserError(f"{what}: {name}: {info.filename} is a link; only plain files are unpacked")
                with archive.open(info) as content:
                    yield info.filename, content
        return
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        for entry in archive:
            if entry.isdir() or not _matches(entry.name, pattern, names):
                continue
            extracted = archive.extractfile(entry) if entry.isreg() else None
            if extracted is None:
                raise UserError(f"{what}: {name}: {entry.name} is a link or device; only plain files are unpacked")
            yield entry.name, extracted


def _matches(member: str, pattern: str, names: list[str]) -> bool:
    names.append(member)
    return fnmatchcase(member, pattern)


def _write(content: IO[bytes], member: str, target: Path, what: str) -> None:
    parts = PurePosixPath(member.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise UserError(f"{what}: member {member} would be written outside of its folder; do not trust this archive")
    path = target.joinpath(*parts.parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as sink:
        shutil.copyfileobj(content, sink, CHUNK)


def _closest(names: list[str], pattern: str) -> str:
    close = get_close_matches(pattern, names, n=MAX_LISTED, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(f'{each!r}' for each in close)}?"
    shown = ", ".join(names[:MAX_LISTED]) or "no file"
    return f"it contains {shown}{', …' if len(names) > MAX_LISTED else ''}"
