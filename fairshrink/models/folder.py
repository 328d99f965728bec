"""What can be told of a published model's folder without loading it: from its files, their headers and config.json.

Quick and without torch, as it is looked at before any job starts and right after a download.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fairshrink.contracts import TaskHead
from fairshrink.models import gguf_header
from fairshrink.models.against_config import misfits
from fairshrink.models.json_files import read_object
from fairshrink.models.support import supported
from fairshrink.models.traits import names_token
from fairshrink.store import lfs

CONFIG = "config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
"""Files of which AutoTokenizer makes a fast tokenizer."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
SPECIAL = ("unk_token", "bos_token", "eos_token", "cls_token", "sep_token", "mask_token")
"""Tokens that are put into texts, or that texts may have; the padding token is chosen when the model is loaded."""
SHOWN = 10


def wrong(
    folder: Path,
    heads: Sequence[TaskHead],
    gguf_file: str | None = None,
    *,
    quantized: bool = False,
    tokenizer: bool = True,
) -> list[str]:
    """Why the model in an existing folder cannot be used with these task heads; empty if nothing is known against it.

    Each reason ends with a remedy after "; ". ``quantized``: its weights are going to be decoded, and have been looked
    at; ``tokenizer``: whether it needs one of its own.
    """
    try:
        return list(dict.fromkeys(_reasons(folder, heads, gguf_file, quantized, tokenizer)))
    except OSError as error:
        return [f"{error.filename or folder} cannot be read ({error.strerror}); change its permissions"]


def config_of(folder: Path, gguf_file: str | None = None) -> dict[str, Any]:
    """The content of config.json, or what a GGUF file says instead; empty if it cannot be read."""
    if gguf_file:
        try:
            return gguf_header.read(folder / gguf_file).config
        except (OSError, gguf_header.DamagedError):
            return {}
    return read_object(folder / CONFIG) or {}


def weights(folder: Path, gguf_file: str | None = None) -> int | None:
    """How many numbers the model's tensors hold, from the headers of its files; None if they cannot be read."""
    try:
        if gguf_file:
            return gguf_header.read(folder / gguf_file).weights
        return sum(math.prod(each["shape"]) for each in _headers(folder).values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def weight_files(folder: Path) -> list[Path]:
    """Its safetensors files: the one of the usual name, or those that an index lists."""
    index = read_object(folder / INDEX)
    if (folder / WEIGHTS).exists() or index is None:
        return [folder / WEIGHTS]
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def _headers(folder: Path) -> dict[str, dict[str, Any]]:
    """What the headers of the safetensors files say of each tensor. Raises ValueError and the like for other files."""
    found: dict[str, dict[str, Any]] = {}
    for path in weight_files(folder):
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length) if length <= path.stat().st_size - 8 else b"")
        found |= {tensor: each for tensor, each in header.items() if tensor != "__metadata__"}
    return found


def _reasons(
    folder: Path, heads: Sequence[TaskHead], gguf_file: str | None, quantized: bool, tokenizer: bool
) -> Iterator[str]:
    here = sorted(each.name for each in folder.iterdir() if each.is_file())
    if gguf_file:
        yield from _gguf(folder, gguf_file, here, heads)
        return
    pointers = [name for name in here if name.endswith((".json", ".safetensors")) and lfs.is_pointer(folder / name)]
    if pointers:
        yield lfs.missing(pointers)
        return
    if CONFIG not in here:
        yield f"there is no {CONFIG} in it; {_instead(folder, here)}"
        return
    config = read_object(folder / CONFIG)
    if config is None:
        yield f"{CONFIG} is not a JSON object; get the file again"
        return
    unreadable = list(_weights(folder, here))
    misfitting = [] if unreadable else list(misfits(_headers(folder), config))
    if quantized:
        config.pop("quantization_config", None)
    for head in heads:
        yield from supported(config, head)
    yield from unreadable or misfitting
    if not set(TOKENIZERS) & set(here) and tokenizer:
        yield f"it has no tokenizer; add the files of its tokenizer ({TOKENIZERS[0]}) from where the model is from"
    else:
        yield from _tokens_beyond(folder, config)
        yield from _without_token(folder, [head for head in heads if not supported(config, head)])


def _instead(folder: Path, here: list[str]) -> str:
    """Where config.json is, or else what is here."""
    below = sorted(each.parent.relative_to(folder).as_posix() for each in folder.rglob(CONFIG))
    if below:
        return f"the model is in `folder: {below[0]}`" if len(below) == 1 else f"models are in {', '.join(below)}"
    ggufs = [name for name in here if name.endswith(".gguf")]
    if ggufs:
        return f"write `gguf_file: {ggufs[0]}`"
    return f"name the folder of a model that transformers has saved; here is {_listed(here)}"


def _gguf(folder: Path, gguf_file: str, here: list[str], heads: Sequence[TaskHead]) -> Iterator[str]:
    if gguf_file not in here:
        likely = [name for name in here if name.endswith(".gguf")] or here
        yield f"there is no file '{gguf_file}' in it; {_meant(gguf_file, likely)}"
        return
    if lfs.is_pointer(folder / gguf_file):
        yield lfs.missing([gguf_file])
        return
    try:
        header = gguf_header.read(folder / gguf_file)
    except gguf_header.DamagedError as error:
        yield f"{gguf_file} is not a GGUF file, or not a whole one: {error}; get the file again"
        return
    for reason in _of_header(header, heads):
        yield f"{gguf_file}: {reason}"


def _of_header(header: gguf_header.Header, heads: Sequence[TaskHead]) -> Iterator[str]:
    """What is wrong with the model inside a GGUF file."""
    name, parts = header.architecture, header.fields.get("split.count", 1)
    if name not in gguf_header.ARCHITECTURES:
        known = ", ".join(gguf_header.ARCHITECTURES)
        yield f"the architecture {name!r} is not supported in GGUF files; use one of {known}, or safetensors"
        return
    if parts != 1:
        yield f"it is one of {parts} parts of a model; join them into one file first (`llama-gguf-split --merge`)"
        return
    for head in heads:
        yield from supported(header.config, head)
    tokens, embeddings = header.counts.get("tokenizer.ggml.tokens"), header.shapes.get("token_embd.weight")
    if not tokens:
        yield "it has no tokenizer; take a file that llama.cpp's converter has written with its vocabulary"
    elif embeddings is None:
        yield "it has no weights of a language model (token_embd.weight); name the file with the model itself"
    elif tokens > embeddings[-1]:
        yield f"its tokenizer has {tokens:,} tokens, the model embeddings for {embeddings[-1]:,}; get the file again"


def _weights(folder: Path, here: list[str]) -> Iterator[str]:
    names = [WEIGHTS] if WEIGHTS in here else []
    if not names and INDEX in here:
        index = read_object(folder / INDEX) or {}
        parts = index.get("weight_map")
        if not isinstance(parts, Mapping) or not parts:
            yield f"{INDEX} names no files; get the file again"
            return
        names = sorted(set(map(str, parts.values())))
        absent = [name for name in names if name not in here]
        if absent:
            yield f"{len(absent)} of the {len(names)} parts of its weights are missing: {_listed(absent)}; get them too"
            return
    if not names:
        yield _no_weights(folder, here)
    for name in names:
        yield from _cut_off(folder / name)


def _no_weights(folder: Path, here: list[str]) -> str:
    if "adapter_config.json" in here:
        return (
            "it is an adapter (LoRA), not a whole model; merge it into its model first (`merge_and_unload` of peft) "
            "and save that"
        )
    ggufs = [name for name in here if name.endswith(".gguf")]
    if ggufs:
        return f"its weights are in GGUF files; write `gguf_file: {ggufs[0]}`"
    pickles = sorted(each.name for pattern in PICKLES for each in folder.glob(pattern) if each.stem != "training_args")
    if pickles:
        return (
            f"its weights are in {_listed(pickles)}, which can run code when loaded: only safetensors and GGUF are "
            "read; load it with transformers where you trust it and save it again (`save_pretrained` writes "
            f"{WEIGHTS})"
        )
    return f"there are no weights in it; add {WEIGHTS} (here is {_listed(here)})"


def _cut_off(path: Path) -> Iterator[str]:
    """Whether a safetensors file ends before its header says: 8 bytes of length, the header as JSON, then tensors."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(length) if length <= size - 8 else b"")
            ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
        except (ValueError, AttributeError, TypeError, KeyError, IndexError):
            yield f"{path.name} is no safetensors file, or its beginning is damaged; get the file again"
            return
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        yield f"{path.name} has {size:,} of its {expected:,} bytes; get the file again"


def _tokens_beyond(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Special tokens that the model has no embedding for: they were added to the tokenizer alone."""
    vocabulary, described = config.get("vocab_size"), read_object(folder / "tokenizer.json")
    if not isinstance(vocabulary, int) or described is None:
        return
    own = read_object(folder / "tokenizer_config.json") or {}
    used = {text for name in SPECIAL if (text := _text(own.get(name)))}
    added = described.get("added_tokens")
    for each in added if isinstance(added, list) else ():
        if not isinstance(each, dict) or each.get("content") not in used or not isinstance(each.get("id"), int):
            continue
        if each["id"] >= vocabulary:
            yield (
                f"the tokenizer's {each['content']} has the number {each['id']}, and the model has embeddings for "
                f"{vocabulary}; call `resize_token_embeddings` of the model after adding tokens, and save both"
            )


def _without_token(folder: Path, heads: Sequence[TaskHead]) -> Iterator[str]:
    """Special tokens that a language model cannot do without."""
    where = "in tokenizer_config.json"
    if "masked_lm" in heads and names_token(folder, "mask_token") is False:
        yield f"its tokenizer has no mask token, so it is no masked language model; name its `mask_token` {where}"
    starts = [names_token(folder, name) for name in ("bos_token", "eos_token")]
    if "causal_lm" in heads and starts == [False, False]:
        yield (
            "its tokenizer has no token that begins or ends a text; name the one that precedes a text as "
            f"`bos_token` {where}"
        )


def _text(token: object) -> str:
    """A token of tokenizer_config.json: a text, or an object with its content."""
    return str(token.get("content", "")) if isinstance(token, dict) else token if isinstance(token, str) else ""


def _meant(name: str, there: Sequence[str]) -> str:
    close = get_close_matches(name, there, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'? It contains {_listed(there)}" if close else f"it contains {_listed(there)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) + more) or "nothing"
