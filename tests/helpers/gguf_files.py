"""Writes a tiny Llama as a GGUF file, and reads the model of one by transformers alone."""

import json

import numpy as np
import torch
import transformers
from gguf import GGUFWriter
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint


def write_gguf(cp, path, add=GGUFWriter.add_tensor):
    """As llama.cpp's converter does: rows of query and key interleaved per head for its rotary embedding.

    ``add(writer, name, tensor)`` stores each tensor.
    """
    path.parent.mkdir()
    config = cp.model.config
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    vocabulary = json.loads(cp.tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(vocabulary["vocab"], key=vocabulary["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in ("<s>", "</s>") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in vocabulary["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    state = {name: value.numpy() for name, value in cp.model.state_dict().items()}
    add(writer, "token_embd.weight", state["model.embed_tokens.weight"])
    add(writer, "output_norm.weight", state["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, short in names.items():
            weight = state[f"model.layers.{layer}.{theirs}.weight"]
            if short in ("attn_q", "attn_k"):
                heads = config.num_attention_heads if short == "attn_q" else config.num_key_value_heads
                weight = weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
            add(writer, f"blk.{layer}.{short}.weight", np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def plainly(folder) -> torch.nn.Module:
    """The model of a file by transformers alone, as its `from_pretrained` reads it, which needs accelerate."""
    config = transformers.AutoConfig.from_pretrained(folder, gguf_file="model.gguf")
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    read = load_gguf_checkpoint(str(folder / "model.gguf"), return_tensors=True, model_to_load=model)["tensors"]
    missing, unexpected = model.load_state_dict(read, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    model.tie_weights()
    return model
