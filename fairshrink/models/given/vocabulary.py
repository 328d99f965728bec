"""Does a given model read the same words as its original? Asked before the two are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FEW = 3
TEXTS = (
    "The doctor met a man and a woman in the old park.",
    "She doesn't know; he'll say 3,000 times: \"It's naïve!\"",
    "  Two  spaces,\nNEW lines and UPPER case.",
)


def difference(original: Mapping[str, int], given: Mapping[str, int]) -> str:
    """How the numbers of tokens differ, "" if each token of the original has its number in the given one as well."""
    other = [token for token, number in original.items() if given.get(token) != number]
    if not other:
        return ""
    shown = ", ".join(repr(token) for token in sorted(other, key=original.__getitem__)[:FEW])
    return f"{len(other):,} of the {len(original):,} tokens of its original have other numbers in it ({shown}, …)"


def of_folder(folder: Path) -> dict[str, int] | None:
    """Token → number as tokenizer.json or vocab.txt says it, without libraries; None where they say it otherwise."""
    try:
        if (folder / "tokenizer.json").is_file():
            said = json.loads((folder / "tokenizer.json").read_bytes())
            listed = said["model"]["vocab"]
            numbers = listed if isinstance(listed, dict) else {piece[0]: at for at, piece in enumerate(listed)}
            return numbers | {each["content"]: each["id"] for each in said.get("added_tokens", ())}
        if (folder / "vocab.txt").is_file():
            with (folder / "vocab.txt").open(encoding="utf-8") as lines:  # a token may be a separator of Unicode
                return {line.rstrip("\n"): at for at, line in enumerate(lines)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return None
