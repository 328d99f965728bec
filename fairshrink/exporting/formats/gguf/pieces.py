"""Tokenizers of SentencePiece's kind: BPE of characters, spaces as ▁, unknown ones as bytes.

llama.cpp merges the neighbors whose token has the highest score. tokenizer.json has no scores but a list of merges, the
best first. Where that list is what scores would give, minus the place of a token's merges in it is its score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gguf import TokenType

from fairshrink.errors import UserError

SPACE = "▁"
BYTES = tuple(f"<0x{number:02X}>" for number in range(256))


def is_sentencepiece(said: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json is of this kind."""
    return bool(said["model"].get("byte_fallback"))


def begins_with_space(said: Mapping[str, Any]) -> bool:
    """Whether a space is put before each text."""
    steps = [*_steps(said["normalizer"], "normalizers"), *_steps(said["pre_tokenizer"], "pretokenizers")]
    scheme = [each.get("prepend_scheme") for each in steps if each["type"] == "Metaspace"]
    return any(each["type"] == "Prepend" for each in steps) or any(each in ("first", "always") for each in scheme)


def types(tokens: Sequence[str], kinds: Sequence[int], unknown: str | None) -> list[int]:
    """The types of all tokens, with those of bytes and of what is unknown."""
    own = dict.fromkeys(BYTES, int(TokenType.BYTE)) | ({unknown: int(TokenType.UNKNOWN)} if unknown else {})
    return [own.get(token, kind) for token, kind in zip(tokens, kinds, strict=True)]


def scores(tokens: Sequence[str], merges: Sequence[Sequence[str] | str]) -> list[float]:
    """A score for each token. UserError where no scores give these merges in this order."""
    pairs = [tuple(each.split(" ")) if isinstance(each, str) else tuple(each) for each in merges]
    places: dict[str, int] = {}
    last = ""
    for one, other in pairs:
        token = one + other
        if token != last and token in places:
            raise UserError("its tokenizer's merges are in an order that scores of tokens, which GGUF has, cannot give")
        places.setdefault(token, len(places))
        last = token
    known, listed = set(tokens), set(pairs)
    missing = next((each for each in _splits(places, known) if each not in listed), None)
    if missing:
        raise UserError(f"its tokenizer does not merge {missing}, which llama.cpp would, since its vocabulary has both")
    return [float(-places.get(token, len(places))) for token in tokens]


def _splits(tokens: Mapping[str, int], known: set[str]) -> Iterator[tuple[str, str]]:
    """All pairs of tokens that together are another one."""
    for token in tokens:
        for at in range(1, len(token)):
            if token[:at] in known and token[at:] in known:
                yield token[:at], token[at:]


def _steps(said: Mapping[str, Any] | None, inner: str) -> list[Mapping[str, Any]]:
    return [] if not said else said.get(inner, [said])
