"""Logits of a vocabulary that is multiplied a part after the other. Oracle: the layer itself."""

from __future__ import annotations

import pytest
import torch
import zoo

from fairshrink.models.inference import vocabulary
from fairshrink.models.inference.forward import hidden_states, token_logits
from fairshrink.models.stored_forms.codebook import SharedLinear


@pytest.fixture(autouse=True)
def few_words(monkeypatch):
    monkeypatch.setattr(vocabulary, "WORDS", 7)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("words", [5, 7, 30])
def test_logits_are_the_layers(bias, words):
    torch.manual_seed(0)
    layer, states = torch.nn.Linear(6, words, bias=bias), torch.randn(1, 4, 6)
    with torch.inference_mode():
        expected = layer(states)
        with vocabulary.in_parts(layer):
            found = layer(states)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert "forward" not in vars(layer)


@pytest.mark.parametrize("name", ["bert", "llama", "gemma2"])
def test_logits_of_models_are_their_own(name):
    head = "masked_lm" if name == "bert" else "causal_lm"
    model = zoo.built(name, head).eval()
    inputs = {"input_ids": torch.arange(5, 12)[None], "attention_mask": torch.ones((1, 7), dtype=torch.long)}
    with torch.inference_mode():
        found = token_logits(model, hidden_states(model, inputs)[0])
        torch.testing.assert_close(found, model(**inputs).logits[0], rtol=0, atol=1e-5)


def layers():
    dense = torch.nn.Linear(6, 30)
    yield "gradients", dense, torch.enable_grad()
    yield "bfloat16 arithmetic", dense, torch.autocast("cpu", torch.bfloat16)
    yield "float64", torch.nn.Linear(6, 30).double(), torch.inference_mode()
    yield "another form", SharedLinear.__new__(SharedLinear), torch.inference_mode()
    yield "none", None, torch.inference_mode()


@pytest.mark.parametrize(("what", "layer", "where"), layers(), ids=lambda each: each if isinstance(each, str) else "")
def test_other_layers_are_left_alone(what, layer, where):
    with torch.no_grad(), where, vocabulary.in_parts(layer):
        assert layer is None or "forward" not in vars(layer)
