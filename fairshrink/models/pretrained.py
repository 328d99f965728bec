"""Read published models: Hugging Face folders with safetensors, GGUF files, tokenizers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from transformers.initialization import no_init_weights

from fairshrink.contracts import TaskHead
from fairshrink.errors import UserError
from fairshrink.models.task_heads import AUTO_CLASSES, build

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def read_folder(folder: Path, head: TaskHead) -> tuple[PreTrainedConfig, dict[str, torch.Tensor]]:
    """Config, and the weights that the folder's safetensors contain for this task head, under the model's names."""
    pretrained, report = getattr(transformers, AUTO_CLASSES[head]).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    held = pretrained.state_dict()
    return pretrained.config, {name: held[name] for name in held.keys() - report["missing_keys"]}


def read_gguf(folder: Path, head: TaskHead, gguf_file: str) -> tuple[PreTrainedConfig, dict[str, torch.Tensor]]:
    """The same for a GGUF file; transformers' own ``from_pretrained`` would need accelerate."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = transformers.AutoConfig.from_pretrained(folder, gguf_file=gguf_file, trust_remote_code=False)
    with no_init_weights():
        model = build(config, head)
    read = load_gguf_checkpoint(str(folder / gguf_file), return_tensors=True, model_to_load=model)
    return config, read["tensors"]


def read_tokenizer(folder: Path, **options: str) -> PreTrainedTokenizerBase:
    """A fast tokenizer with a padding token that never truncates or pads by itself; UserError if there is none."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options)
    if not tokenizer.is_fast:
        raise UserError(f"{folder}: no fast tokenizer (tokenizer.json); fairshrink needs character offsets")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # Some published tokenizers truncate at 128 tokens; here the length is decided where batches are made.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.init_kwargs = {
        key: value
        for key, value in tokenizer.init_kwargs.items()
        if key not in ("max_length", "stride", "truncation_strategy", "gguf_file", "local_files_only", "is_local")
    }
    return tokenizer


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
