"""The architectures that fairshrink knows: what each calls its blocks and the linear layers in them.

Needs no torch, so that a study can be checked before anything is downloaded. transformers has maps of this kind
(`base_model_tp_plan` of a config), but only for newer decoders and without the roles of the layers; the tests compare
them with this table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from fairshrink.contracts import Part

Fused = Literal["", "stacked", "per_head"]
"""How query, key and value share a matrix: not at all, one below the other, or head by head (q, k, v of head 0, …)."""


class Family(NamedTuple):
    """Names of an architecture's modules: ``blocks`` below the base model, all others below a block.

    ``fused``: query, key and value have one name, that of their common matrix. A ``gate`` that has the name of ``up``
    is above it in one matrix; "" means that there is none. ``positions``: projections of relative positions, a row for
    each of the heads' dimensions, as in query and key. ``norms``: of queries and of keys, below
    the attention module, where a model has them. ``counts``, ``shared_counts`` and ``widths`` are attributes of
    the attention module that say how many query heads, how many key and value heads, and how many dimensions of all
    query heads it has. ``heads_stay`` says why heads cannot be removed, if they cannot.
    """

    blocks: str
    query: str
    key: str
    value: str
    output: str
    gate: str
    up: str
    down: str
    fused: Fused = ""
    positions: tuple[str, ...] = ()
    norms: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    shared_counts: tuple[str, ...] = ()
    widths: tuple[str, ...] = ()
    heads_stay: str = ""


_BERT = Family(
    blocks="encoder.layer.*",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
    gate="",
    up="intermediate.dense",
    down="output.dense",
    counts=("num_attention_heads",),
    widths=("all_head_size",),
)
_DISTILBERT = Family(
    blocks="transformer.layer.*",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    output="attention.out_lin",
    gate="",
    up="ffn.lin1",
    down="ffn.lin2",
    counts=("n_heads",),
)
_ALBERT = Family(
    blocks="encoder.albert_layer_groups.*.albert_layers.*",
    query="attention.query",
    key="attention.key",
    value="attention.value",
    output="attention.dense",
    gate="",
    up="ffn",
    down="ffn_output",
    counts=("num_attention_heads",),
    widths=("all_head_size",),
)
_DEBERTA_V2 = _BERT._replace(
    query="attention.self.query_proj",
    key="attention.self.key_proj",
    value="attention.self.value_proj",
    positions=("attention.self.pos_query_proj", "attention.self.pos_key_proj"),
)
_MPNET = _BERT._replace(
    query="attention.attn.q", key="attention.attn.k", value="attention.attn.v", output="attention.attn.o"
)
_MODERNBERT = Family(
    blocks="layers.*",
    query="attn.Wqkv",
    key="attn.Wqkv",
    value="attn.Wqkv",
    output="attn.Wo",
    gate="mlp.Wi",
    up="mlp.Wi",
    down="mlp.Wo",
    fused="stacked",
)
_GPT2 = Family(
    blocks="h.*",
    query="attn.c_attn",
    key="attn.c_attn",
    value="attn.c_attn",
    output="attn.c_proj",
    gate="",
    up="mlp.c_fc",
    down="mlp.c_proj",
    fused="stacked",
    counts=("num_heads",),
    widths=("split_size",),
)
_OPT = Family(
    blocks="decoder.layers.*",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    output="self_attn.out_proj",
    gate="",
    up="fc1",
    down="fc2",
    counts=("num_heads",),
)
_GPT_NEO = Family(
    blocks="h.*",
    query="attn.attention.q_proj",
    key="attn.attention.k_proj",
    value="attn.attention.v_proj",
    output="attn.attention.out_proj",
    gate="",
    up="mlp.c_fc",
    down="mlp.c_proj",
    counts=("num_heads",),
)
_GPT_NEOX = Family(
    blocks="layers.*",
    query="attention.query_key_value",
    key="attention.query_key_value",
    value="attention.query_key_value",
    output="attention.dense",
    gate="",
    up="mlp.dense_h_to_4h",
    down="mlp.dense_4h_to_h",
    fused="per_head",
)
_BLOOM = _GPT_NEOX._replace(
    blocks="h.*",
    query="self_attention.query_key_value",
    key="self_attention.query_key_value",
    value="self_attention.query_key_value",
    output="self_attention.dense",
    counts=("num_heads",),
)
_LLAMA = Family(
    blocks="layers.*",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    output="self_attn.o_proj",
    gate="mlp.gate_proj",
    up="mlp.up_proj",
    down="mlp.down_proj",
    norms=("q_norm", "k_norm"),
)
_STABLELM = _LLAMA._replace(
    norms=("q_layernorm", "k_layernorm"), counts=("num_heads",), shared_counts=("num_key_value_heads",)
)
_PHI = _LLAMA._replace(
    output="self_attn.dense", gate="", up="mlp.fc1", down="mlp.fc2", norms=("q_layernorm", "k_layernorm")
)
_PHI3 = _LLAMA._replace(
    query="self_attn.qkv_proj",
    key="self_attn.qkv_proj",
    value="self_attn.qkv_proj",
    gate="mlp.gate_up_proj",
    up="mlp.gate_up_proj",
    fused="stacked",
    shared_counts=("num_key_value_heads",),
)
_T5 = Family(
    blocks="encoder.block.*",
    query="layer.0.SelfAttention.q",
    key="layer.0.SelfAttention.k",
    value="layer.0.SelfAttention.v",
    output="layer.0.SelfAttention.o",
    gate="",
    up="layer.1.DenseReluDense.wi",
    down="layer.1.DenseReluDense.wo",
    counts=("n_heads",),
    widths=("inner_dim",),
)
_GATED_T5 = _T5._replace(gate="layer.1.DenseReluDense.wi_0", up="layer.1.DenseReluDense.wi_1")

FAMILIES: Mapping[str, tuple[Family, ...]] = {
    "bert": (_BERT,),
    "roberta": (_BERT,),
    "xlm-roberta": (_BERT,),
    "camembert": (_BERT,),
    "ernie": (_BERT,),
    "roberta-prelayernorm": (_BERT,),
    "distilbert": (_DISTILBERT,),
    "albert": (_ALBERT,),
    "electra": (_BERT,),
    "deberta-v2": (_DEBERTA_V2,),
    "mpnet": (_MPNET,),
    "modernbert": (_MODERNBERT,),
    "gpt2": (_GPT2,),
    "opt": (_OPT,),
    "gpt_neo": (_GPT_NEO,),
    "gpt_neox": (_GPT_NEOX,),
    "bloom": (_BLOOM,),
    "phi": (_PHI,),
    "phi3": (_PHI3,),
    "llama": (_LLAMA,),
    "mistral": (_LLAMA,),
    "qwen2": (_LLAMA,),
    "qwen3": (_LLAMA,),
    "gemma": (_LLAMA,),
    "gemma2": (_LLAMA,),
    "gemma3_text": (_LLAMA,),
    "granite": (_LLAMA,),
    "cohere": (_LLAMA,),
    "olmo": (_LLAMA,),
    "olmo2": (_LLAMA._replace(heads_stay="queries and keys are normalized over all heads together"),),
    "stablelm": (_STABLELM,),
    "smollm3": (_LLAMA,),
    "t5": (_T5, _GATED_T5),
}
"""Names by ``model_type`` of config.json; where an architecture has several variants, the first that fits."""


_HEADS = ("num_key_value_heads", "num_attention_heads", "num_heads", "n_heads", "n_head")
"""What config.json calls the number of key and value heads, or of all heads where each has its own."""


_WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
_INNER = ("intermediate_size", "n_inner", "d_ff", "ffn_dim", "hidden_dim")
"""What config.json calls the width of a model, and of its feed-forward layers."""


_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""What config.json calls the number of layers."""


def number_of_layers(config: Mapping[str, Any]) -> int | None:
    """How many layers a model has, if its config.json says it."""
    found = next(filter(None, map(config.get, _LAYERS)), None)
    return found if isinstance(found, int) else None


def row_lengths(config: Mapping[str, Any]) -> list[int]:
    """How many inputs linear layers of the blocks have, as far as config.json says it."""
    found = (next(filter(None, map(config.get, names)), None) for names in (_WIDTH, _INNER))
    return sorted({each for each in found if isinstance(each, int)})


def refusals(config: Mapping[str, Any], part: Part = "linears") -> list[str]:
    """Why this part of a model with this content of config.json cannot be treated; empty if it can.

    Each reason is a sentence without a full stop that names the architecture and ends with a remedy after "; ". A
    method's part is its ``REMOVES``, or else "linears".
    """
    return list(_reasons(config, part))


def removable_heads(config: Mapping[str, Any]) -> float | None:
    """The largest share of a model's heads that can go, as each layer keeps one; None if config.json does not say."""
    if refusals(config, "heads"):
        return 0.0
    units = next(filter(None, (config.get(name) for name in _HEADS)), None)
    return (units - 1) / units if isinstance(units, int) else None


def _reasons(config: Mapping[str, Any], part: Part) -> Iterator[str]:
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        yield f"the layers of the architecture {kind!r} are not known to fairshrink; use one of {', '.join(FAMILIES)}"
    elif part == "heads":
        who = f"attention heads of the architecture {kind!r} cannot be removed"
        if stay := FAMILIES[kind][0].heads_stay:
            yield f"{who}, because {stay}; use another method"
        if 1 in (config.get(name) for name in _HEADS):
            yield f"{who} from a model whose layers have one for keys and values, which stays; use another method"
        if kind == "bloom" and config.get("slow_but_exact") and config.get("pretraining_tp", 1) > 1:
            yield f"{who} with `slow_but_exact`, because it multiplies in slices of all heads; set it to false"
    elif part == "layers":
        who = f"layers of the architecture {kind!r} cannot be removed"
        if kind == "albert":
            yield f"{who}, because all share one set of weights; use another method"
        if kind == "gpt2" and config.get("scale_attn_by_inverse_layer_idx"):
            yield f"{who} with `scale_attn_by_inverse_layer_idx`, as they compute by their number; use another method"
