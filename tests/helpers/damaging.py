"""Files damaged at random, as transfers, editors and slips of the hand damage them."""

from __future__ import annotations

import gzip
import random


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut, put twice, or lines moved."""
    kind = draw.choice(["bytes", "bytes", "cut", "line twice", "line out", "utf-16", "packed and cut", "latin-1"])
    lines = data.splitlines(keepends=True)
    if kind == "bytes":
        place = draw.randrange(len(data))
        new = bytes(draw.choices(b'\x00\xff",;\n\r\\[]{}\x80a\t:', k=draw.randint(0, 3)))
        return data[:place] + new + data[place + draw.randint(0, 3) :]
    if kind == "cut":
        return data[: draw.randrange(len(data))]
    if kind in ("line twice", "line out"):
        number = draw.randrange(len(lines))
        return b"".join(lines[: number + (kind == "line twice")] + lines[number + (kind == "line out") :])
    if kind == "packed and cut":
        packed = gzip.compress(data)
        return packed[: draw.randrange(2, len(packed))]
    return data.decode().encode("utf-16" if kind == "utf-16" else "latin-1", errors="replace")
