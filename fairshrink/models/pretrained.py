"""Read published models: Hugging Face folders with safetensors, GGUF files, tokenizers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.initialization import no_init_weights

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.models import task_heads
from fairshrink.models.support import supported

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Published:
    """A model as its maker published it.

    ``weights``: those that its files contain for the task head, under the model's names, in float32. ``model``: what
    plain transformers makes of the folder, None for GGUF. ``other_shapes``: name → shapes in the file and by
    config.json, where they differ; these weights are left out.
    """

    config: PreTrainedConfig
    weights: dict[str, torch.Tensor]
    model: torch.nn.Module | None
    other_shapes: Mapping[str, tuple[list[int], list[int]]] = field(default_factory=dict)


def read_folder(folder: Path, head: TaskHead) -> Published:
    """A folder with ``config.json`` and safetensors, in one file or several; UserError if it is not supported."""
    kind = _check(_config_json(folder), folder, head)
    return _whole(task_heads.published(str(folder), kind, head, use_safetensors=True, trust_remote_code=False, **_READ))


def of_weights(config: PreTrainedConfig, weights: dict[str, torch.Tensor], folder: Path, head: TaskHead) -> Published:
    """The same of weights that were decoded from the files in ``folder``, under the names that these have for them."""
    _check({"model_type": config.model_type}, folder, head)
    return _whole(task_heads.published_of(config, head, weights, **_READ))


_READ: Mapping[str, Any] = {
    "output_loading_info": True,
    "dtype": torch.float32,
    "ignore_mismatched_sizes": True,  # so that all of them are named, not raised
}


def _whole(read: tuple[Any, Mapping[str, Any]]) -> Published:
    pretrained, report = read
    other = {name: (list(in_file), list(wanted)) for name, in_file, wanted in report["mismatched_keys"]}
    held = pretrained.state_dict()
    weights = {name: held[name] for name in held.keys() - report["missing_keys"] - other.keys()}
    return Published(pretrained.config, weights, pretrained, other)


def read_gguf(folder: Path, head: TaskHead, gguf_file: str) -> Published:
    """The same for a GGUF file; transformers' own ``from_pretrained`` would need accelerate."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = transformers.AutoConfig.from_pretrained(folder, gguf_file=gguf_file, trust_remote_code=False)
    _check({"model_type": config.model_type}, folder / gguf_file, head)
    with no_init_weights():
        model = task_heads.build(config, head)
    read = load_gguf_checkpoint(str(folder / gguf_file), return_tensors=True, model_to_load=model)
    return Published(config, read["tensors"], None)


def read_tokenizer(folder: Path, **options: str) -> PreTrainedTokenizerBase:
    """A fast tokenizer with a padding token that never truncates or pads by itself; UserError if there is none."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options)
    if not tokenizer.is_fast:
        raise UserError(f"{folder}: no fast tokenizer (tokenizer.json); fairshrink needs character offsets")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    plain_lengths(tokenizer)
    tokenizer.init_kwargs = {
        key: value
        for key, value in tokenizer.init_kwargs.items()
        if key not in ("max_length", "stride", "truncation_strategy", "gguf_file", "local_files_only", "is_local")
    }
    return tokenizer


def plain_lengths(tokenizer: PreTrainedTokenizerBase) -> None:
    """Switch off truncation and padding: some published tokenizers truncate at 128 tokens.

    Here the length is decided where batches are made.
    """
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' report about missing weights (task heads are new) and its progress bar."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()


def _config_json(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UserError(f"{folder}/config.json is not an object of keys and values")
    return content


def _check(config: Mapping[str, Any], where: Path, head: TaskHead) -> str:
    """The model type; UserError with the first reason why the model cannot be used."""
    for reason in supported(config, head):
        raise UserError(f"{where}: {reason}")
    return str(config["model_type"])
