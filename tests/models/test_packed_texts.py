"""Texts of encoders end to end. Oracle: the model's own forward pass on padded texts, and on each text alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zoo

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.inference import batching, few_queries, last_block, outputs, packed_texts
from fairshrink.models.inference.forward import hidden_states
from fairshrink.models.inference.packed_rows import Run
from fairshrink.models.inference.sequences import padded

MASK, PAD = 9, 0
SENTENCE = [5, 6, 7, 8, 10, 11, 12]
# Variants of a sentence, two of another of the same length, and a shorter one.
SEQUENCES = [
    *([*SENTENCE[:at], MASK, *SENTENCE[at + 1 :]] for at in range(1, 6)),
    *([5, 13, 14, 15, 16, 17, 12], [5, 13, 14, 15, 16, 18, 12]),
    [5, 19, 12],
]
TEXTS, PLACES = [7, 0, 3, 3, 6], [1, 6, 4, 0, 2]


@pytest.fixture(params=sorted(packed_texts.ALONE))
def model(request):
    return zoo.built(request.param, "masked_lm").eval()


def inputs_of(model, sequences=SEQUENCES):
    pad = model.config.pad_token_id
    inputs = padded(sequences, pad, [[0] * 3 + [1] * (len(ids) - 3) for ids in sequences])
    if getattr(model.config, "type_vocab_size", 1) < 2:
        del inputs["token_type_ids"]
    return inputs, packed_texts.layout(inputs, pad)


def computed_by(layer):
    """Shapes of what a layer computes, before any hook that comes later."""
    shapes = []
    layer.register_forward_hook(lambda _, __, found: shapes.append(tuple(found.shape[:-1])))
    return shapes


@torch.inference_mode()
def test_states_are_those_of_padded_texts(model):
    inputs, lying = inputs_of(model)
    whole = hidden_states(model, inputs)
    seen = (
        computed_by(model.get_submodule(blocks(model)[0].query)),
        computed_by(model.get_submodule(blocks(model)[0].down)),
    )
    with packed_texts.end_to_end(model, lying):
        row = hidden_states(model, inputs)[0]
    torch.testing.assert_close(row, whole[inputs["attention_mask"] > 0], rtol=0, atol=1e-5)
    distinct = len({(token, at, at > 2) for ids in SEQUENCES for at, token in enumerate(ids)})
    assert seen == ([(1, distinct)], [(1, sum(map(len, SEQUENCES)))])
    assert torch.equal(hidden_states(model, inputs), whole)  # the model is left as it was


@torch.inference_mode()
@pytest.mark.parametrize("few", [True, False])
def test_chosen_states_are_those_of_padded_texts(model, few, monkeypatch):
    monkeypatch.setattr(few_queries, "WORTHWHILE", 10.0 if few else 0.0)
    inputs, lying = inputs_of(model)
    whole = hidden_states(model, inputs)[TEXTS, PLACES]
    last = blocks(model)[-1]
    keys = computed_by(model.get_submodule(last.key))
    found = last_block.states_at(model, last_block.last_block(model), inputs, TEXTS, PLACES, lying)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
    assert keys == ([(5, 1)] if few else [(1, len(lying.tokens)), (5, 1)])


@torch.inference_mode()
def test_keys_of_another_form_are_computed(monkeypatch):
    monkeypatch.setattr(few_queries, "WORTHWHILE", 10.0)
    model = zoo.built("bert", "masked_lm").eval()
    inputs, lying = inputs_of(model)
    whole = hidden_states(model, inputs)[TEXTS, PLACES]
    layer = model.get_submodule(blocks(model)[-1].key)
    stored = torch.nn.Linear(layer.in_features, layer.out_features).requires_grad_(False)
    stored.load_state_dict(layer.state_dict())
    stored.__class__ = type("Stored", (torch.nn.Linear,), {})
    model.set_submodule(blocks(model)[-1].key, stored)
    last = last_block.last_block(model)
    assert last.heads is None
    found = last_block.states_at(model, last, inputs, TEXTS, PLACES, lying)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_one_block_is_the_first_and_the_last(model):
    one = zoo.built(model.config.model_type, "masked_lm", **{layers_of(model): 1}).eval()
    assert len(blocks(one)) == 1
    inputs, lying = inputs_of(one)
    found = last_block.states_at(one, last_block.last_block(one), inputs, TEXTS, PLACES, lying)
    torch.testing.assert_close(found, hidden_states(one, inputs)[TEXTS, PLACES], rtol=0, atol=1e-5)


def layers_of(model):
    return "n_layers" if model.config.model_type == "distilbert" else "num_hidden_layers"


@torch.inference_mode()
def test_padding_inside_a_text_is_counted_as_the_model_counts_it(model):
    pad = model.config.pad_token_id
    inputs, lying = inputs_of(model, [[5, pad, *ids[2:]] for ids in SEQUENCES])
    assert lying.distinct is None
    with packed_texts.end_to_end(model, lying):
        row = hidden_states(model, inputs)[0]
    torch.testing.assert_close(row, hidden_states(model, inputs)[inputs["attention_mask"] > 0], rtol=0, atol=1e-5)


def test_texts_of_different_tokens_share_nothing():
    sequences = [[5, 6, 7], [8, 9]]
    lying = packed_texts.layout(padded(sequences, PAD), PAD)
    assert lying.distinct is None
    assert [(run.start, run.rows, run.length) for run in lying.runs] == [(0, 1, 3), (3, 1, 2)]
    assert lying.tokens.tolist() == [0, 1, 2, 3, 4]
    assert [each.tolist() for each in lying.at(torch.tensor([1, 0]), torch.tensor([1, 2]))] == [[0, 0], [4, 2]]


@pytest.mark.parametrize("bias", [True, False])
def test_few_queries_read_what_keys_and_values_say(bias):
    torch.manual_seed(2)
    width, count, each = 12, 3, 5
    key, value = (torch.nn.Linear(width, count * each, bias=bias).requires_grad_(False) for _ in range(2))
    hidden, queries = torch.randn(14, width), torch.randn(4, count * each)
    runs = [Run(0, 2, 4), Run(8, 1, 6)]
    places, texts = torch.tensor([13, 1, 5, 0]), [(8, 14), (0, 4), (4, 8), (0, 4)]
    by = few_queries.heads(key, value, count, 0.3)
    found = few_queries.read(by, hidden, queries, places, runs)
    for query, (start, stop), row in zip(queries, texts, found, strict=True):
        keys, values = (layer(hidden[start:stop]).view(-1, count, each) for layer in (key, value))
        for head in range(count):
            weights = (0.3 * keys[:, head] @ query.view(count, each)[head]).softmax(0)
            torch.testing.assert_close(row.view(count, each)[head], weights @ values[:, head], rtol=0, atol=1e-5)


def test_many_queries_are_not_few():
    layer = torch.nn.Linear(8, 8)
    by, runs = few_queries.heads(layer, layer, 2, 1.0), [Run(0, 10, 4)]
    assert by.less_work(10, runs)  # 10 · (8 + 2 · 4) of 40 · 8
    assert not by.less_work(11, runs)


@pytest.mark.parametrize("changed", ["device", "attention", "decoder", "architecture"])
def test_elsewhere_texts_are_padded(changed):
    config = SimpleNamespace(model_type="bert", is_decoder=False, _attn_implementation="sdpa")
    cp = SimpleNamespace(model=SimpleNamespace(config=config), device=torch.device("cpu"))
    assert packed_texts.can_pack(cp)
    if changed == "device":
        cp.device = torch.device("meta")
    else:
        key, value = {
            "attention": ("_attn_implementation", "eager"),
            "decoder": ("is_decoder", True),
            "architecture": ("model_type", "deberta-v2"),
        }[changed]
        setattr(config, key, value)
    assert not packed_texts.can_pack(cp)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_outputs_do_not_depend_on_packing(attention, tmp_path):
    cp = checkpoints.from_source(zoo.model_folder("roberta", "encoder", tmp_path), head="encoder")
    cp.model.set_attn_implementation(attention)
    texts = ["She is kind.", "He is kind.", "A man is a man is a man.", "kind"]
    found = outputs.sentence_embeddings(cp, texts, "mean_all")
    for text, vector in zip(texts, found, strict=True):
        with torch.inference_mode():
            alone = cp.model(torch.tensor([batching.token_ids(cp, text)])).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, alone, rtol=0, atol=1e-5)
