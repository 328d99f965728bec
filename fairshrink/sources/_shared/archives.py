"""Unpacking members of zip and tar archives, never outside of the target folder."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from fairshrink.errors import UserError
from fairshrink.log import log
from fairshrink.sources._shared.formats import is_allowed
from fairshrink.sources._shared.limits import Budget

CHUNK = 1 << 20
NESTED = "!"
MAX_LISTED = 5
TO_SKIP = 10
"""So many times the limit is read over in a tar archive, whose members lie behind one another."""
LONGEST = 255
"""Bytes of a file's name."""
_CHOOSE = "choose one of them under `members`"
_KINDS = "files of kinds that might run code are not unpacked, docs/security.md lists those that are"
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


def unpack(archive: Path, name: str, patterns: list[str], target: Path, what: str, most: int) -> None:
    """Copy the members that match any pattern into ``target``, below their own names.

    A pattern is a glob over member names (``*`` matches ``/`` too); ``outer.tar.gz!inner/*`` reaches into an archive in
    the archive. ``name`` is the archive's name in messages. Members of kinds that may not arrive (`formats`) are left
    out. Raises UserError for a pattern that nothing else matches, a damaged archive, members of more than ``most``
    bytes in all, and a member that would land outside of ``target`` or is not a plain file; ``target`` may then be
    partly filled.
    """
    budget = Budget(most, what)
    for pattern in patterns:
        outer, _, inner = pattern.partition(NESTED)
        with archive.open("rb") as stream:
            _unpack(stream, name, outer, inner, target, what, budget)


def _unpack(stream: IO[bytes], name: str, outer: str, inner: str, target: Path, what: str, budget: Budget) -> None:
    names: list[str] = []
    left_out: list[str] = []
    written: set[str] = set()
    found = 0
    try:
        for member, content, size in _members(stream, name, outer, names, what, budget):
            place = _place(member, what)
            if not is_allowed(member):
                left_out.append(member)
                continue
            budget.check(size, member)
            found += 1
            if inner:
                packed = io.BytesIO()
                _copy(content, packed, member, size, budget)
                packed.seek(0)
                _unpack(packed, member, inner, "", target, what, budget)
            else:
                path = target / place
                if str(place) in written:
                    raise UserError(f"{what}: {name} has two members {member}; name another file, or ask its publisher")
                written.add(str(place))
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as sink:
                        _copy(content, sink, member, size, budget)
                except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                    raise UserError(f"{what}: {name} has {member} as a file and as a folder; {_CHOOSE}") from error
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"{what}: {name} cannot be unpacked, it is damaged, truncated or not a zip or tar archive ({error}); "
            "name another file in the study, or ask its publisher"
        ) from error
    if not found and left_out:
        raise UserError(f"{what}: members: in {name} only {', '.join(left_out[:MAX_LISTED])} matches; {_KINDS}")
    if left_out:
        log(f"{what}: left out {len(left_out)} members, such as {left_out[0]}: {_KINDS}")
    if not found:
        raise UserError(f"{what}: members: nothing in {name} matches '{outer}'; {_closest(names, outer)}")


def _members(
    stream: IO[bytes], name: str, pattern: str, names: list[str], what: str, budget: Budget
) -> Iterator[tuple[str, IO[bytes], int]]:
    """Name, content and stated size of the files that match; ``names`` collects those of all."""
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
                    yield info.filename, content, info.file_size
        return
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        for entry in archive:
            if entry.offset_data > TO_SKIP * budget.most:
                budget.check(entry.offset_data, entry.name)
            if entry.isdir() or not _matches(entry.name, pattern, names):
                continue
            extracted = archive.extractfile(entry) if entry.isreg() else None
            if extracted is None:
                raise UserError(f"{what}: {name}: {entry.name} is a link or device; only plain files are unpacked")
            yield entry.name, extracted, entry.size


def _matches(member: str, pattern: str, names: list[str]) -> bool:
    names.append(member)
    return fnmatchcase(member, pattern)


def _place(member: str, what: str) -> PurePosixPath:
    """Where a member belongs, relative to the folder that is filled. UserError where that is outside of it."""
    parts = PurePosixPath(member.replace("\\", "/"))
    if not parts.parts or not member.isprintable() or any(len(each.encode()) > LONGEST for each in parts.parts):
        raise UserError(f"{what}: member {member[:80]!r} has no name that a file can have; do not trust this archive")
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise UserError(f"{what}: member {member} would be written outside of its folder; do not trust this archive")
    return parts


def _copy(content: IO[bytes], sink: IO[bytes], member: str, size: int, budget: Budget) -> None:
    copied = 0
    while chunk := content.read(CHUNK):
        budget.spend(len(chunk), member)
        copied += sink.write(chunk)
    if copied != size:
        raise EOFError(f"{member} has {copied} bytes and not {size}, as it says")


def _closest(names: list[str], pattern: str) -> str:
    close = get_close_matches(pattern, names, n=MAX_LISTED, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(f'{each!r}' for each in close)}?"
    shown = ", ".join(names[:MAX_LISTED]) or "no file"
    return f"it contains {shown}{', …' if len(names) > MAX_LISTED else ''}"
