"""Tiny random models of many architectures, as their makers would publish them.

They are built and saved by plain transformers alone, so that they are an oracle for everything that fairshrink does
with a model. What their forward passes do beside matrix products (soft caps, multipliers, normalized queries and keys,
sliding windows, biases) is switched on at values that show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tiny
import torch
import transformers

LABELS = tiny.LABELS
AUTO = {
    "encoder": "AutoModel",
    "masked_lm": "AutoModelForMaskedLM",
    "causal_lm": "AutoModelForCausalLM",
    "regression": "AutoModelForSequenceClassification",
    "classification": "AutoModelForSequenceClassification",
}


class _Made(NamedTuple):
    config: str
    sizes: Mapping[str, Any]
    tokenizer: Callable[[], Any]


def _words() -> Any:
    return tiny._wordpiece()


def _bytes_with_mask() -> Any:
    return tiny._byte_level("<s>", "</s>", "<pad>", "<mask>")


def _bytes() -> Any:
    return tiny._byte_level("<s>", "</s>", None, None)


_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
_NARROW = _BERT | {"embedding_size": 16}
# RoBERTa's kind counts positions from 2.
_ROBERTA = _BERT | {"max_position_embeddings": 66, "type_vocab_size": 1}
_LLAMA = _BERT | {"num_key_value_heads": 2}
# Heads together wider than the model, as in Gemma and Qwen 3.
_WIDE = _LLAMA | {"head_dim": 16}
_SLIDING = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.3}
_DEBERTA = {
    "relative_attention": True,
    "position_buckets": 8,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
}

_ENCODERS = {
    "bert": _Made("BertConfig", _BERT, _words),
    "roberta": _Made("RobertaConfig", _ROBERTA, _bytes_with_mask),
    "xlm-roberta": _Made("XLMRobertaConfig", _ROBERTA, _bytes_with_mask),
    "distilbert": _Made(
        "DistilBertConfig",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64}
        | {"initializer_range": 0.3},
        _words,
    ),
    "albert": _Made("AlbertConfig", _NARROW, _words),
    "electra": _Made("ElectraConfig", _NARROW, _words),
    "deberta-v2": _Made(
        "DebertaV2Config",
        _BERT | _DEBERTA | {"share_att_key": True, "position_biased_input": False, "type_vocab_size": 0},
        _words,
    ),
    "mpnet": _Made("MPNetConfig", _BERT | {"max_position_embeddings": 66}, _bytes_with_mask),
    "modernbert": _Made(
        "ModernBertConfig", _BERT | {"global_attn_every_n_layers": 2, "local_attention": 8}, _bytes_with_mask
    ),
}
_CAUSAL = {
    "llama": _Made("LlamaConfig", _LLAMA | {"attention_bias": True, "tie_word_embeddings": True}, _bytes),
    "mistral": _Made("MistralConfig", _LLAMA | {"sliding_window": 8}, _bytes),
    "qwen2": _Made("Qwen2Config", _LLAMA | {"tie_word_embeddings": True}, _bytes),
    "qwen3": _Made("Qwen3Config", _WIDE, _bytes),
    "gemma": _Made("GemmaConfig", _WIDE, _bytes),
    "gemma2": _Made(
        "Gemma2Config",
        _WIDE | _SLIDING | {"query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0},
        _bytes,
    ),
    "gemma3_text": _Made(
        "Gemma3TextConfig",
        _WIDE | _SLIDING | {"query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0},
        _bytes,
    ),
    "granite": _Made(
        "GraniteConfig",
        _LLAMA
        | {
            "logits_scaling": 4.0,
            "attention_multiplier": 0.35,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.6,
        },
        _bytes,
    ),
    "cohere": _Made("CohereConfig", _LLAMA | {"logit_scale": 0.25, "use_qk_norm": True}, _bytes),
    "olmo": _Made("OlmoConfig", _LLAMA | {"clip_qkv": 1.5}, _bytes),
    "olmo2": _Made("Olmo2Config", _LLAMA, _bytes),
    "stablelm": _Made("StableLmConfig", _LLAMA | {"qk_layernorm": True, "use_qkv_bias": True}, _bytes),
    "smollm3": _Made("SmolLM3Config", _LLAMA | {"no_rope_layers": [1, 0], "pad_token_id": 1}, _bytes),
    "phi": _Made("PhiConfig", _LLAMA | {"qk_layernorm": True}, _bytes),
    "phi3": _Made("Phi3Config", _LLAMA | {"pad_token_id": 1, "original_max_position_embeddings": 64}, _bytes),
    "gpt2": _Made("GPT2Config", _GPT2 | {"n_inner": 48}, _bytes),
    "gpt_neo": _Made(
        "GPTNeoConfig",
        {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}
        | {"max_position_embeddings": 64, "window_size": 8, "intermediate_size": 48, "initializer_range": 0.3},
        _bytes,
    ),
    "gpt_neox": _Made("GPTNeoXConfig", _BERT, _bytes),
    "opt": _Made(
        "OPTConfig",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48, "init_std": 0.3}
        | {"max_position_embeddings": 64, "word_embed_proj_dim": 16},
        _bytes,
    ),
    "bloom": _Made("BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}, _bytes),
}
_VARIANTS = {
    "camembert": _Made("CamembertConfig", _ROBERTA, _bytes_with_mask),
    "ernie": _Made("ErnieConfig", _BERT | {"use_task_id": True}, _words),
    "roberta-prelayernorm": _Made("RobertaPreLayerNormConfig", _ROBERTA, _bytes_with_mask),
}
_OTHERS = {
    "t5": _Made(
        "T5Config",
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "initializer_factor": 3.0},
        _bytes_with_mask,
    ),
}
_ALL = _ENCODERS | _VARIANTS | _CAUSAL | _OTHERS

ENCODERS = tuple(_ENCODERS)
"""Encoders: bare, and with the heads masked_lm, regression and classification."""
VARIANTS = tuple(_VARIANTS)
"""Encoders that are BERT or RoBERTa in nearly everything, with the same heads."""
CAUSAL = tuple(_CAUSAL)
"""Decoders: bare, and with the heads causal_lm, regression and classification where transformers has a class."""
ENCODER_DECODERS = tuple(_OTHERS)
"""Used as encoders alone; published here as a maker does: with the decoder, or without one."""


def has_class(name: str, head: str) -> bool:
    """Whether transformers has a model of this architecture with this task head."""
    if name in _OTHERS:
        return head == "encoder"
    config = type(_config(name, head))
    mapping = getattr(transformers, AUTO[head])._model_mapping
    causal_head_of_encoder = name in _ENCODERS | _VARIANTS and head == "causal_lm"
    return config in mapping and not causal_head_of_encoder


def model_folder(
    name: str, head: str, folder: Path, *, seed: int = 1, with_decoder: bool = True, **config: Any
) -> Path:
    """A published model: ``config.json``, ``model.safetensors`` and a fast tokenizer; ``config`` overrides.

    ``with_decoder``: T5 as it is published, or its encoder alone.
    """
    tokenizer = _ALL[name].tokenizer()
    model = built(name, head, seed=seed, with_decoder=with_decoder, **config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def built(name: str, head: str, *, seed: int = 1, with_decoder: bool = True, **config: Any) -> torch.nn.Module:
    """The model itself, in eval mode, with weights drawn from ``seed``."""
    made = _config(name, head, **config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "t5" and not with_decoder:
            model = transformers.T5EncoderModel(made)
        else:
            model = getattr(transformers, AUTO[head]).from_config(made, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:  # new biases are 0 and scales 1, which would hide one that is left out
                    parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def loaded(folder: Path, head: str, **options: Any) -> torch.nn.Module:
    """What plain transformers makes of a folder, in float32; of T5 the encoder."""
    t5 = transformers.AutoConfig.from_pretrained(folder).model_type == "t5"
    factory = transformers.T5EncoderModel if t5 else getattr(transformers, AUTO[head])
    return factory.from_pretrained(folder, dtype=torch.float32, **options).eval()


def _config(name: str, head: str, **config: Any) -> Any:
    made, tokenizer = _ALL[name], _ALL[name].tokenizer()
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    ids |= {"pad_token_id": tokenizer.pad_token_id}
    if name == "modernbert":
        ids |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    if name == "t5":
        ids |= {"decoder_start_token_id": tokenizer.pad_token_id}
    heads: dict[str, Any] = {}
    if head == "classification":
        heads = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    elif head == "regression":
        heads = {"num_labels": 1, "problem_type": "regression"}
    return getattr(transformers, made.config)(**{"vocab_size": len(tokenizer), **ids, **made.sizes, **heads, **config})
