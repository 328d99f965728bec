"""The linear layers of each scope, against lists written by hand from the architectures' own names."""

import pytest
import torch
from tiny import tiny_bert, tiny_llama, tiny_roberta

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, linear_names
from fairshrink.models.checkpoint import load

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


def test_an_unknown_scope_is_reported_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="feed_forward"):
        linear_names(load(tiny_bert("encoder", tmp_path)).model, "decoder")
