"""The linear layers of each scope and their roles, over all architectures.

Oracles: lists written by hand for some; transformers' own plans for tensor parallelism where it has them; and what the
layers do, by what changes in the heads' outputs when one output of a layer is changed.
"""

import re
import subprocess
import sys
from functools import cache

import pytest
import torch
import transformers
import zoo
from tiny import tiny_bert, tiny_llama, tiny_roberta
from transformers.pytorch_utils import Conv1D

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import (
    blocks,
    head_outputs,
    linear_names,
    matrices,
    multiply_adds,
    neuron_outputs,
)
from fairshrink.models.architecture.families import FAMILIES, refusals, removable_heads
from fairshrink.models.architecture.heads import head_units
from fairshrink.models.checkpoint import load
from fairshrink.models.support import ARCHITECTURES

BERT_BLOCK = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
]


def test_bert_encoder_layers_are_those_of_the_blocks(tmp_path):
    model = load(tiny_bert("encoder", tmp_path)).model
    assert linear_names(model, "encoder") == [f"encoder.layer.{i}.{name}" for i in (0, 1) for name in BERT_BLOCK]


def test_scopes_of_roberta_under_a_classifier(tmp_path):
    model = load(tiny_roberta("classification", tmp_path)).model
    prefixes = [f"roberta.encoder.layer.{i}." for i in (0, 1)]
    assert linear_names(model, "attention") == [p + name for p in prefixes for name in BERT_BLOCK[:3]]
    assert linear_names(model, "feed_forward") == [p + name for p in prefixes for name in BERT_BLOCK[4:]]
    heads = ["classifier.dense", "classifier.out_proj"]
    assert linear_names(model, "all") == [p + name for p in prefixes for name in BERT_BLOCK] + heads


def test_a_decoder_tied_to_the_embeddings_is_in_no_scope(tmp_path):
    bert = load(tiny_bert("masked_lm", tmp_path / "bert")).model
    assert linear_names(bert, "all")[12:] == ["cls.predictions.transform.dense"]
    tied = load(tiny_llama("causal_lm", tmp_path / "tied")).model
    assert "lm_head" not in linear_names(tied, "all")
    untied = load(tiny_llama("causal_lm", tmp_path / "untied", tie_word_embeddings=False)).model
    assert linear_names(untied, "all")[-1] == "lm_head"


def test_llama_shares_keys_and_values(tmp_path):
    (first, second) = blocks(load(tiny_llama("causal_lm", tmp_path)).model)
    assert (first.n_heads, first.kv_heads, first.head_dim) == (4, 2, 8)
    assert second.query == "model.layers.1.self_attn.q_proj"
    assert second.attention == "model.layers.1.self_attn"
    assert second.feed_forward == tuple(f"model.layers.1.mlp.{part}_proj" for part in ("gate", "up", "down"))


def test_layers_come_in_numerical_order(tmp_path):
    model = load(tiny_bert("encoder", tmp_path, num_hidden_layers=11)).model
    assert [block.query.split(".")[2] for block in blocks(model)] == [str(i) for i in range(11)]


def test_an_unknown_architecture_is_reported():
    with pytest.raises(UserError, match="Sequential"):
        blocks(torch.nn.Sequential(torch.nn.Linear(2, 2)))
    config = transformers.MambaConfig(vocab_size=9, hidden_size=8, state_size=2, num_hidden_layers=1)
    with pytest.raises(UserError, match="'mamba' are not known"):
        linear_names(transformers.AutoModel.from_config(config), "encoder")


def test_an_unknown_scope_is_reported_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="feed_forward"):
        linear_names(load(tiny_bert("encoder", tmp_path)).model, "decoder")


ALL = (*zoo.ENCODERS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS)
VARIANTS = {
    "t5 gated": ("t5", {"feed_forward_proj": "gated-gelu"}),
    "deberta-v2 own positions": ("deberta-v2", {"share_att_key": False}),
    "cohere without norms": ("cohere", {"use_qk_norm": False}),
}
HEADS = 4
WORDS = 12


@cache
def model_of(name: str, head: str = "encoder") -> torch.nn.Module:
    architecture, config = VARIANTS.get(name, (name, {}))
    return zoo.built(architecture, head, with_decoder=False, **config)


@pytest.mark.parametrize("name", [name for name in ALL if model_of(name).config.base_model_tp_plan])
def test_layers_of_blocks_are_those_that_transformers_would_split(name):
    model = model_of(name)
    split = {
        each for each, how in model.config.base_model_tp_plan.items() if "wise" in how and each.startswith("layers")
    }
    assert {re.sub(r"\.\d+\.", ".*.", each) for each in linear_names(model, "encoder")} == split


@pytest.mark.parametrize("name", [*ALL, *VARIANTS])
def test_every_dense_layer_of_the_blocks_is_in_one_role(name):
    model = model_of(name)
    numbered = [
        each
        for each, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and re.search(r"\.\d+\.", each)
    ]
    assert linear_names(model, "encoder") == numbered
    roles = [each for block in blocks(model) for each in block.linears]
    assert sorted(roles) == sorted(numbered)
    assert [block.attention for block in blocks(model)] == sorted({block.attention for block in blocks(model)})


@pytest.mark.parametrize("name", ALL)
def test_scopes_under_every_task_head(name):
    bare = {scope: linear_names(model_of(name), scope) for scope in ("encoder", "attention", "feed_forward")}
    assert not set(bare["attention"]) & set(bare["feed_forward"])
    for head in ("masked_lm", "causal_lm", "regression", "classification"):
        if head in ARCHITECTURES[name].heads:
            model = model_of(name, head)
            for scope, names in bare.items():
                assert [
                    re.sub(f"^{model.base_model_prefix}\\.", "", each) for each in linear_names(model, scope)
                ] == names
            for each in linear_names(model, "all"):
                assert model.get_submodule(each).weight is not model.get_input_embeddings().weight


@torch.inference_mode()
def seen(model, block, name=None, outputs=None, change=None, at=slice(None)):
    """Inputs of the output projection [texts, words, heads, width] and of ``down`` [texts, words, neurons].

    ``change`` is applied to some outputs of a layer for some words, not to what it says of relative positions. Of
    layers that are used several times it is the first time.
    """
    found = {}
    hooks = [
        model.get_submodule(block.output).register_forward_pre_hook(
            lambda _, inputs: found.setdefault("out", inputs[0])
        ),
        model.get_submodule(block.down).register_forward_pre_hook(
            lambda _, inputs: found.setdefault("down", inputs[0])
        ),
    ]

    def changed(module, inputs, out):
        if out[..., 0].numel() != 2 * WORDS:
            return out
        part = out.clone().view(2, WORDS, -1)
        words = torch.arange(WORDS)[at]
        part[:, words[:, None], outputs] = change(part[:, words[:, None], outputs])
        return part.view(out.shape)

    if name:
        hooks.append(model.get_submodule(name).register_forward_hook(changed))
    words = torch.randint(5, 50, (2, WORDS), generator=torch.Generator().manual_seed(0))
    model(input_ids=words, attention_mask=torch.ones_like(words))
    for hook in hooks:
        hook.remove()
    return found["out"].unflatten(-1, (block.n_heads, block.head_dim)), found["down"].reshape(2, WORDS, -1)


def differ(before, after, keep):
    """Where numbers differ, by the dimensions to keep: a list of indices."""
    other = [dim for dim in range(before.ndim) if dim not in keep]
    return ((before - after).abs() > 1e-6).amax(dim=other).nonzero().squeeze(1).tolist()


@pytest.mark.parametrize("name", [*(each for each in ALL if each != "olmo2"), *VARIANTS])
def test_each_output_of_query_key_and_value_belongs_to_its_head(name):
    model = model_of(name)
    block = blocks(model)[0]
    before, _ = seen(model, block)
    assert block.n_heads == HEADS
    group = block.n_heads // block.kv_heads
    for head in range(block.n_heads):
        query = seen(model, block, block.query, head_outputs(block, "query")[head], lambda x: -x, at=slice(5, 6))[0]
        assert (differ(before, query, [2]), differ(before, query, [1])) == ([head], [5])
    for unit in range(block.kv_heads):
        mine = list(range(unit * group, (unit + 1) * group))
        key = seen(model, block, block.key, head_outputs(block, "key")[unit], lambda x: -x, at=slice(5, 6))[0]
        assert differ(before, key, [2]) == mine and set(differ(before, key, [1])) - {5}
        value = seen(model, block, block.value, head_outputs(block, "value")[unit], torch.zeros_like)[0]
        assert differ(before, value, [2]) == mine and not value[:, :, mine].any()
        assert key[:, :, mine].any()


def test_heads_of_olmo2_depend_on_each_other():
    """Why it cannot lose heads: one head's queries change what the normalization makes of all others."""
    model = model_of("olmo2")
    block = blocks(model)[0]
    before, _ = seen(model, block)
    after, _ = seen(model, block, block.query, head_outputs(block, "query")[0], lambda x: 3 * x, at=slice(5, 6))
    assert differ(before, after, [2]) == list(range(HEADS))


@pytest.mark.parametrize("name", [*ALL, *VARIANTS])
def test_each_output_of_gate_and_up_belongs_to_its_neuron(name):
    model = model_of(name)
    block = blocks(model)[-1]
    before = seen(model, block)[1]
    assert block.neurons == before.shape[-1]
    roles = ("gate", "up") if block.gate else ("up",)
    for role in roles:
        outputs = neuron_outputs(block, role)
        assert outputs.shape == (block.neurons,)
        for neuron in (0, 7, block.neurons - 1):
            layer = block.gate if role == "gate" else block.up
            after = seen(model, block, layer, outputs[[neuron]], lambda x: -x)[1]
            assert differ(before, after, [2]) == [neuron]
    if block.gate:  # up is what is multiplied: without it nothing is left; the gate goes through a function
        after = seen(model, block, block.up, neuron_outputs(block, "up")[[7]], lambda x: 2 * x)[1]
        torch.testing.assert_close(after[..., 7], 2 * before[..., 7])
        gated = seen(model, block, block.gate, neuron_outputs(block, "gate")[[7]], lambda x: 2 * x)[1]
        assert (gated[..., 7] - 2 * before[..., 7]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_matrices_are_parts_of_the_stored_weights(name):
    """Each weight of the layers in scope is in one matrix, once; the views write through."""
    model = zoo.built(name, "encoder", with_decoder=False)
    for scope in ("encoder", "attention", "feed_forward", "all"):
        layers = [model.get_submodule(each) for each in linear_names(model, scope)]
        with torch.no_grad():
            for layer in layers:
                layer.weight.zero_()
            parts = matrices(model, scope)
            for part in parts:
                part += 1
        assert all((layer.weight == 1).all() for layer in layers)
        assert sum(part.numel() for part in parts) == sum(layer.weight.numel() for layer in layers)


@pytest.mark.parametrize("name", [each for each in ALL if blocks(model_of(each))[0].fused])
def test_query_key_and_value_are_three_matrices_where_they_are_stored_as_one(name):
    model = model_of(name)
    block = blocks(model)[1]
    layer = model.get_submodule(block.query)
    rows = layer.weight.detach().t() if isinstance(layer, Conv1D) else layer.weight.detach()
    parts = matrices(model, "attention")[3:]
    for role, part in zip(("query", "key", "value"), parts, strict=True):
        wanted = rows[head_outputs(block, role).flatten()]
        mine = part.t() if isinstance(layer, Conv1D) else part.reshape(-1, part.shape[-1])
        assert torch.equal(mine, wanted)


def test_shared_layers_are_one_block_that_is_used_often():
    model = zoo.built("albert", "encoder", num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2)
    found = blocks(model)
    assert [block.query.split("albert_layer_groups.")[1] for block in found] == [
        f"{group}.albert_layers.{layer}.attention.query" for group in (0, 1) for layer in (0, 1)
    ]
    calls = []
    for block in found:
        model.get_submodule(block.query).register_forward_hook(lambda *_, name=block.query: calls.append(name))
    model(input_ids=torch.tensor([[5, 6]]))
    assert [calls.count(block.query) for block in found] == [block.uses for block in found]
    per_block = 4 * 32 * 32 + 2 * 32 * 48
    assert multiply_adds(model, outside=False) == sum(calls.count(block.query) for block in found) * per_block


def test_multiply_adds_by_hand():
    attention, feed_forward, vocabulary = 4 * 32 * 32, 2 * 32 * 48, model_of("gpt2").config.vocab_size
    assert multiply_adds(model_of("gpt2"), outside=False) == 2 * (attention + feed_forward)
    language = model_of("gpt2", "causal_lm")
    assert multiply_adds(language, outside=True) == 2 * (attention + feed_forward) + 32 * vocabulary
    # Projections of positions are made once per text.
    assert multiply_adds(model_of("deberta-v2 own positions"), outside=True) == 2 * (attention + feed_forward)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_row_of_the_table_fits_what_transformers_builds(kind):
    """Also architectures that have no model of their own in the tests, because they are copies of others."""
    if kind in ALL:
        return
    config = transformers.AutoConfig.for_model(kind, vocab_size=60, **zoo._BERT)
    found = blocks(transformers.AutoModel.from_config(config))
    assert [(block.n_heads, block.head_dim, block.neurons) for block in found] == [(HEADS, 8, 48)] * 2


def test_a_variant_with_other_layers_is_reported():
    model = zoo.built("llama", "encoder")
    del model.layers[1].mlp.gate_proj
    with pytest.raises(UserError, match="variant of the architecture llama"):
        blocks(model)
    with_cross_attention = zoo.built("gpt2", "encoder", add_cross_attention=True)
    with pytest.raises(UserError, match="variant of the architecture gpt2"):  # its layers would be in no scope
        blocks(with_cross_attention)


@pytest.mark.parametrize(
    ("config", "part", "reason"),
    [
        ({"model_type": "mamba"}, "linears", "'mamba' are not known to fairshrink; use one of bert,"),
        ({}, "heads", "'None' are not known"),
        ({"model_type": "olmo2"}, "heads", "'olmo2' cannot be removed, because .* all heads together; use another"),
        (
            {"model_type": "gemma", "num_attention_heads": 8, "num_key_value_heads": 1},
            "heads",
            "one for keys and values",
        ),
        ({"model_type": "bloom", "slow_but_exact": True, "pretraining_tp": 4}, "heads", "set it to false"),
    ],
)
def test_why_heads_stay(config, part, reason):
    (said,) = refusals(config, part)
    assert re.search(reason, said) and "; " in said


def test_the_tables_of_heads_and_of_layers_have_the_same_architectures():
    assert set(FAMILIES) == set(ARCHITECTURES)


def test_what_can_be_treated_has_no_reason_against_it():
    assert all(refusals({"model_type": kind}) == [] for kind in FAMILIES)
    assert [kind for kind in FAMILIES if refusals({"model_type": kind}, "heads")] == ["olmo2"]
    assert refusals({"model_type": "bloom", "pretraining_tp": 4}, "heads") == []


def test_heads_that_stay_are_reported_for_models_too():
    for name, config in (("olmo2", {}), ("gemma", {"num_key_value_heads": 1})):
        with pytest.raises(UserError, match=f"architecture '{name}' cannot be removed"):
            head_units(zoo.built(name, "encoder", **config))
    assert head_units(model_of("gemma")) == [2, 2]


@pytest.mark.parametrize("name", ALL)
def test_how_many_heads_can_go_is_known_from_the_config(name):
    config = model_of(name).config.to_diff_dict()
    units = [1] if name == "olmo2" else head_units(model_of(name))
    assert removable_heads(config) == (sum(units) - len(units)) / sum(units)
    assert removable_heads({"model_type": name}) in (None, 0.0)


def test_planning_can_ask_without_torch():
    code = (
        "import sys, fairshrink.models.architecture.families; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
