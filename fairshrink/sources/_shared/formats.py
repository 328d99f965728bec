"""Which kinds of file may arrive from elsewhere: those that cannot run code, by the endings of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

KINDS = {
    "weights": ("safetensors", "gguf", "onnx", "onnx_data"),
    "tables": ("csv", "tsv", "jsonl", "ndjson", "parquet", "arrow"),
    "texts": ("txt", "text", "md", "rst", "json", "jinja", "train", "dev", "test"),
    "vocabularies": ("model", "vocab", "bpe", "merges", "tiktoken", "spm"),
    "archives": ("zip", "whl", "tar", "tgz", "tbz2", "txz"),
    "packed files": ("gz", "bz2", "xz"),
}
"""By what they are; a packed file is what its name says without the last ending."""
ALLOWED = frozenset(ending for endings in KINDS.values() for ending in endings)
PACKED = frozenset(KINDS["packed files"])
_NO_ENDING = re.compile(r"\d*|.*[*?\[\]].*")
"""Of versions and of patterns."""


def is_allowed(name: str) -> bool:
    """Whether a file of that name, or of a pattern's last ending, may arrive; names without an ending may."""
    stem, ending = _parts(PurePosixPath(name).name)
    if ending in PACKED:
        ending = _parts(stem)[1]
        return ending in ALLOWED - PACKED or bool(_NO_ENDING.fullmatch(ending))
    return ending in ALLOWED or bool(_NO_ENDING.fullmatch(ending))


def _parts(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.stem, path.suffix[1:].lower()


def refused(names: Iterable[str]) -> list[str]:
    """Those that may not arrive."""
    return [name for name in names if not is_allowed(name)]


def why(name: str) -> str:
    """What is wrong with a name that may not arrive, with the remedy after "; "."""
    return (
        f"'{name}' is of no kind that is known to run no code; name safetensors, json, csv, parquet or text files "
        "(docs/security.md lists all kinds)"
    )
