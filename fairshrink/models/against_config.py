"""Weights of a published model that do not fit its config.json, as the headers of their files tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairshrink.models.architecture.families import number_of_layers
from fairshrink.models.traits import POSITIONS

WORDS = ("word_embeddings.weight", "embed_tokens.weight", "wte.weight", "embed_in.weight", "tok_embeddings.weight")
"""Embeddings that have a row for each word of the vocabulary."""
BLOCK = re.compile(r"(?:^|.*?\.)(?:layers?|h|block)\.(\d+)\.")
"""The beginning of the name of a weight that is in a block, up to the block's number."""
CODES = re.compile(r"BOOL|[UI]\d+|F4|F[68]_.*")
"""Types of numbers that stand for others, by a scale that is kept elsewhere."""
FEWEST_POSITIONS = 64
"""A model that reads fewer tokens cannot read the texts by which it is compared with plain transformers."""
REMEDY = "take the config.json that belongs to the file"


def misfits(headers: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> Iterator[str]:
    """Reasons, each with a remedy after "; ". ``headers``: type and shape by the name of the tensor."""
    if not config.get("quantization_config"):
        yield from _codes(headers)
    yield from _vocabulary(headers, config)
    yield from _blocks(headers, config)
    positions = next((config[name] for name in POSITIONS if isinstance(config.get(name), int)), None)
    if positions is not None and positions < FEWEST_POSITIONS:
        yield f"config.json says that it reads {positions} tokens at most, fewer than a text has; use another model"


def _codes(headers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Plain transformers would take codes of quantized weights for the weights themselves."""
    found = [
        name for name, each in headers.items() if name.endswith(".weight") and CODES.fullmatch(str(each.get("dtype")))
    ]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        kind = headers[found[0]]["dtype"]
        yield (
            f"{found[0]}{more} in the file: numbers of type {kind}, codes of quantized weights, and config.json has no "
            "`quantization_config` that says what they stand for; save the model in float32, float16 or bfloat16"
        )


def _vocabulary(headers: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> Iterator[str]:
    """Embeddings of words of another number than config.json says."""
    said = config.get("vocab_size")
    for name, each in headers.items():
        rows = each["shape"][0] if each.get("shape") else None
        if isinstance(said, int) and name.endswith(WORDS) and rows != said:
            yield f"{name} has {rows} rows in the file, and config.json says vocab_size {said}; {REMEDY}"


def _blocks(headers: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> Iterator[str]:
    """Blocks that there are not, and blocks that plain transformers would leave out without an error."""
    said = number_of_layers(config)
    numbers: dict[str, set[int]] = {}
    for name in headers:
        if found := BLOCK.match(name):
            numbers.setdefault(name[: found.start(1)], set()).add(int(found[1]))
    if any("encoder" in each for each in numbers):  # of T5 the decoder is not used
        numbers = {place: each for place, each in numbers.items() if "decoder" not in place}
    for place, each in numbers.items():
        if said is not None and each != set(range(said)):
            yield f"{len(each)} blocks ({place}…) are in the file, and config.json says {said}; {REMEDY}"
