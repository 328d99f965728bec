"""Text files of any encoding, packed or not, with faults that name the line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
from pathlib import Path
from typing import IO, Any, TextIO, cast

from fairshrink.data.faults import Fault, TableError, places

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte-order marks; the longer ones first, as one begins like another."""
OTHERS = {
    b"PAR1": ("a Parquet file", "write `format: parquet`"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unpack it"),
    b"version https://git-lfs": ("a pointer of git-lfs, not the file itself", "fetch it with `git lfs pull`"),
}
"""What a file is that begins so, and what to do about it."""


MOST_PACKED = 10**9, 200
"""A packed table may be of so many bytes, or so many times as large as its file: texts are packed to a tenth."""


class _Unpacked(io.RawIOBase):
    """What a packed file holds, as far as it may be that large. Reading raises OSError where there is more."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self.stream, self.left = stream, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self.stream.read(len(buffer))
        self.left -= len(content)
        if self.left < 0:
            raise OSError("it unpacks to far more than a table has; unpack it yourself if it is right")
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self.stream.close()
        super().close()


def open_text(path: Path, encoding: str) -> TextIO:
    """The file's text, with line breaks as they are and without a byte-order mark.

    Raises TableError where it begins like a file of another kind or encoding, else what the packing raises.
    """
    with open_bytes(path) as stream:
        start = stream.read(32)
    for begin, (what, remedy) in OTHERS.items():
        if start.startswith(begin):
            raise TableError(Fault("file", f"{path} is {what}", remedy))
    mark, marked = next(((mark, name) for mark, name in MARKS.items() if start.startswith(mark)), (b"", ""))
    wanted = codecs.lookup(encoding).name
    if marked and not wanted.startswith(marked):
        reason = f"{path} begins with a byte-order mark of {marked}, so it is not {encoding}"
        raise TableError(Fault("encoding", reason, f"write `encoding: {marked}`"))
    stream = open_bytes(path)
    if wanted not in ("utf-16", "utf-32", "utf-8-sig"):
        stream.read(len(mark))
    return io.TextIOWrapper(stream, encoding=wanted, newline="")


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where it is packed by gzip, bzip2 or xz."""
    with path.open("rb") as stream:
        start = stream.read(2)
    if start == b"\x1f\x8b" or path.suffix == ".gz":
        return _limited(cast(IO[bytes], gzip.open(path, "rb")), path)
    if path.suffix == ".bz2":
        return _limited(cast(IO[bytes], bz2.open(path, "rb")), path)
    if path.suffix == ".xz":
        return _limited(cast(IO[bytes], lzma.open(path, "rb")), path)
    return path.open("rb")


def _limited(stream: IO[bytes], path: Path) -> IO[bytes]:
    size, times = MOST_PACKED
    return io.BufferedReader(_Unpacked(stream, max(size, times * path.stat().st_size)))


def undecodable(path: Path, encoding: str, error: UnicodeError) -> Fault:
    """Which lines of a file are not written in its encoding, where ``error`` was raised."""
    where, remedy = f"({error})", "write the right `encoding`, for example latin-1, cp1252 or utf-16"
    if "\n".encode(encoding) == b"\n":
        with open_bytes(path) as stream:
            wrong = [number for number, line in enumerate(stream, 1) if not _decodes(line, encoding)]
        if wrong:
            where = f"({places('line', wrong)})"
    return Fault("", f"{path} cannot be read in the encoding {encoding} {where}", remedy)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True
