"""What metrics ask of a model before it is loaded, told by its config.json and the files of its tokenizer.

Tokens that a tokenizer's class has by itself are in no file, so absent is only what a class without any does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairshrink.contracts import ModelTraits, TaskHead
from fairshrink.models import gguf_header
from fairshrink.models.json_files import read_object

POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
"""What config.json calls the longest sequence."""
TEMPLATES = ("chat_template.jinja", "additional_chat_templates")
"""Files and folders of chat templates, which older models have in tokenizer_config.json."""
PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes of tokenizers that have no special tokens but those that their files name."""


def traits(folder: Path, config: Mapping[str, Any], head: TaskHead, gguf_file: str | None = None) -> ModelTraits:
    """Of the model in a folder with this content of config.json."""
    found = next((config[name] for name in POSITIONS if isinstance(config.get(name), int)), None)
    return ModelTraits(head, found, _chat_template(folder, gguf_file))


def names_token(folder: Path, name: str) -> bool | None:
    """Whether the tokenizer in a folder has the special token ``mask_token`` or the like; None if it may."""
    own = read_object(folder / "tokenizer_config.json")
    if own is None:
        return None
    if own.get(name) or (read_object(folder / "special_tokens_map.json") or {}).get(name):
        return True
    return False if own.get("tokenizer_class") in PLAIN_CLASSES else None


def _chat_template(folder: Path, gguf_file: str | None) -> bool | None:
    own = read_object(folder / "tokenizer_config.json") or {}
    if own.get("chat_template") or any((folder / name).exists() for name in TEMPLATES):
        return True
    if not gguf_file:
        return False
    try:
        inside = gguf_header.read(folder / gguf_file).fields.get("tokenizer.chat_template")
    except (OSError, gguf_header.DamagedError):
        return None
    return None if inside else False  # not every tokenizer that is made of such a file takes it over
