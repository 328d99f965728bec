"""How each architecture is written: its name in GGUF, what its header says, which matrices are in another order there.

As llama.cpp expects it and transformers' reader takes it back (transformers, modeling_gguf_pytorch_utils.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fairshrink.errors import UserError

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from numpy.typing import NDArray

    Order = Callable[[str, NDArray[np.float32], Any], NDArray[np.float32]]

RMS, PLAIN = ("rms_norm_eps",), ("layer_norm_epsilon", "layer_norm_eps")
"""What configs call the constant of a normalization, by its kind."""
UNLIMITED = 2048
"""The length of texts that BLOOM was trained with; its positions have no table."""


@dataclass(frozen=True)
class Kind:
    """``name``: the architecture in GGUF; ``order``: a tensor of transformers' as it is there, by its name there."""

    name: str
    order: Order


def _same(name: str, values: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    return values


def _rotated(name: str, values: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    """Rows of queries and keys: the two halves of a head, which a rotation mixes, become neighbors."""
    heads = {".attn_q.": config.num_attention_heads, ".attn_k.": config.num_key_value_heads}
    for part, number in heads.items():
        if part in name:
            return values.reshape(number, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
    return values


def _one_more(name: str, values: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    """Scales of normalizations, which Gemma stores as the difference from 1."""
    return values + np.float32(1) if name.endswith("norm.weight") else values


def _transposed(name: str, values: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    """Linear layers of GPT-2, which are stored as [in, out]."""
    parts = ("attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight")
    return values.T if name.endswith(parts) else values


def _together(name: str, values: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    """BLOOM's fused matrix: query, key and value of each head become all queries, all keys, all values."""
    if ".attn_qkv." not in name:
        return values
    return values.reshape(config.num_attention_heads, 3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


KINDS: Mapping[str, Kind] = {
    "bloom": Kind("bloom", _together),
    "gemma2": Kind("gemma2", _one_more),
    "gemma3_text": Kind("gemma3", _one_more),
    "gpt2": Kind("gpt2", _transposed),
    "llama": Kind("llama", _rotated),
    "mistral": Kind("llama", _rotated),
    "phi3": Kind("phi3", _same),
    "qwen2": Kind("qwen2", _same),
    "qwen3": Kind("qwen3", _same),
    "stablelm": Kind("stablelm", _same),
}
"""By ``model_type``: those that fairshrink knows, GGUF has names for, and transformers reads from it."""


def of(config: Any) -> Kind:
    """The way of writing a model. UserError if there is none."""
    if config.model_type not in KINDS:
        raise UserError(
            f"transformers does not read the architecture {config.model_type!r} from GGUF, so that what was written "
            f"could not be compared; those that it does are {', '.join(KINDS)} (`--format transformers` writes any)"
        )
    window = getattr(config, "sliding_window", None)
    if config.model_type == "mistral" and window is not None and window < config.max_position_embeddings:
        raise UserError(
            f"its attention sees {window} tokens of {config.max_position_embeddings}, and GGUF's `llama`, which "
            "Mistral is written as, sees all of them: longer texts would be scored otherwise; `--format transformers` "
            "writes it"
        )
    inner = getattr(config, "n_inner", None)
    if inner not in (None, 4 * config.hidden_size):
        raise UserError(
            f"its feed-forward layers are {inner} wide, and transformers takes those of GPT-2 in GGUF for 4 times the "
            f"model's {config.hidden_size}; `--format transformers` writes it"
        )
    return KINDS[config.model_type]


def describe(writer: GGUFWriter, config: Any) -> None:
    """Sizes and constants of a model."""
    heads = config.num_attention_heads
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(getattr(config, "max_position_embeddings", None) or UNLIMITED)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", None) or heads)
    for key in RMS:
        if hasattr(config, key):
            writer.add_layer_norm_rms_eps(getattr(config, key))
    for key in PLAIN:
        if hasattr(config, key):
            writer.add_layer_norm_eps(getattr(config, key))
    _positions(writer, config)
    for key, add in (
        ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
        ("final_logit_softcapping", writer.add_final_logit_softcapping),
        ("sliding_window", writer.add_sliding_window),
        ("original_max_position_embeddings", writer.add_rope_scaling_orig_ctx_len),
    ):
        if (value := getattr(config, key, None)) is not None:
            add(value)


def _positions(writer: GGUFWriter, config: Any) -> None:
    """The rotary embedding: of Gemma 3 that of the layers that see everything; its others have a constant of 10,000."""
    said = getattr(config, "rope_parameters", None)
    if not said:
        return
    said = said.get("full_attention", said)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_freq_base(said["rope_theta"])
    writer.add_rope_dimension_count(int(width * said.get("partial_rotary_factor", 1.0)))
    writer.add_key_length(width)
    writer.add_value_length(width)
