"""Log-probabilities of words without a matrix of all logits. Oracle: plain layers, models and torch's log-softmax."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zoo

from fairshrink.compression.controls._shared.outputs import always
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import log_probs, summed_words
from fairshrink.models.inference.forward import hidden_states, output_inputs

TEXTS = [[0, *range(5, 25)], [0, 5, 6, 7, 40, 41], [0, 30, 31, 31]]
CHANGED = {"gemma2": "final_logit_softcapping", "granite": "logits_scaling", "cohere": "logit_scale"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(summed_words, "WORDS", 13)
    monkeypatch.setattr(summed_words, "STATES", 7)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("words", [5, 13, 40])
@pytest.mark.parametrize("spread", [1.0, 200.0])
def test_values_are_those_of_the_log_softmax(bias, words, spread):
    torch.manual_seed(0)
    layer, states = torch.nn.Linear(6, words, bias=bias), torch.randn(9, 6) * spread
    targets, of = torch.randint(words, (30,)), torch.randint(9, (30,))
    with torch.inference_mode():
        expected = torch.nn.functional.linear(
            states.double(), layer.weight.double(), layer.bias.double() if bias else None
        ).log_softmax(1)[of, targets]
        found = summed_words.log_probs(layer, lambda logits: logits, states, targets, of)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("far", [torch.inf, -torch.inf, torch.nan, 1e38])
def test_infinite_and_large_logits_are_as_torch_has_them(far):
    layer, states = torch.nn.Linear(2, 40), torch.ones(3, 2)
    with torch.inference_mode():
        layer.weight[17], layer.bias[17] = 0.0, far
        targets, of = torch.tensor([17, 3, 30]), torch.arange(3)
        logits = layer(states)
        expected = logits[of, targets] - logits.logsumexp(1)
        found = summed_words.log_probs(layer, lambda logits: logits, states, targets, of)
    torch.testing.assert_close(found.float(), expected, rtol=1e-6, atol=1e-5, equal_nan=True)


def test_all_logits_may_be_infinite():
    layer = torch.nn.Linear(2, 40)
    with torch.inference_mode():
        layer.bias[:] = -torch.inf
        found = summed_words.log_probs(
            layer, lambda logits: logits, torch.ones(1, 2), torch.tensor([3]), torch.tensor([0])
        )
    assert found.isnan().all()  # as of torch


@pytest.mark.parametrize("name", sorted(zoo.CAUSAL))
def test_every_architecture_is_summed_so_and_equals_plain_transformers(name, tmp_path, monkeypatch):
    cp = checkpoints.from_source(zoo.model_folder(name, "causal_lm", tmp_path), head="causal_lm")
    monkeypatch.setattr(log_probs, "token_logits", None)  # the whole vocabulary is not asked for
    for ids, values in zip(TEXTS, log_probs.causal_log_probs(cp, TEXTS), strict=True):
        with torch.inference_mode():
            logs = cp.model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()
        np.testing.assert_allclose(values, logs[range(len(ids) - 1), ids[1:]], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_model_does_with_its_logits_is_done_to_each_part(name):
    model = zoo.built(name, "causal_lm").eval()
    with torch.inference_mode():
        states = hidden_states(model, {"input_ids": torch.tensor(TEXTS[:1])})[0]
        changed = summed_words.change(model, states)
        logits = model.get_output_embeddings()(output_inputs(model, states))
        expected = model(input_ids=torch.tensor(TEXTS[:1])).logits[0]
        torch.testing.assert_close(changed(logits.clone()), expected, rtol=0, atol=1e-5)
        assert (logits - expected).abs().max() > 1e-2


class Doubled(torch.nn.Linear):
    """Another kind of layer."""


def others():
    """What a model may do besides, and so cannot be summed by words."""

    def added(model):
        model.register_forward_hook(lambda _, __, found: SimpleNamespace(logits=found.logits + 1e-3))

    def clamped(model):
        model.register_forward_hook(lambda _, __, found: SimpleNamespace(logits=found.logits.clamp(-1e4, 1e4)))

    def one_word(model):
        model.lm_head.register_forward_hook(lambda _, __, found: found.index_fill(-1, torch.tensor([7]), -1e4))

    def in_order(model):
        model.register_forward_hook(lambda _, __, found: SimpleNamespace(logits=found.logits.flip(-1)))

    def form(model):
        model.lm_head.__class__ = Doubled

    def wide(model):
        model.double()

    return [added, clamped, one_word, in_order, form, wide]


@pytest.mark.parametrize("other", others(), ids=lambda each: each.__name__)
def test_anything_else_is_computed_whole(other):
    model = zoo.built("llama", "causal_lm").eval()
    state = torch.randn(1, 32)
    with torch.inference_mode():
        assert summed_words.change(model, state)
        other(model)
        assert summed_words.change(model, state) is None


def test_gradients_and_other_precisions_are_left_alone():
    model, state = zoo.built("llama", "causal_lm").eval(), torch.randn(1, 32)
    assert summed_words.change(model, state) is None
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert summed_words.change(model, state) is None


def test_a_model_that_always_says_the_same_does_so(tmp_path):
    cp = checkpoints.from_source(zoo.model_folder("llama", "causal_lm", tmp_path), head="causal_lm")
    fixed = torch.randn(cp.model.config.vocab_size, generator=torch.Generator().manual_seed(1))
    always(cp, fixed)
    for ids, values in zip(TEXTS, log_probs.causal_log_probs(cp, TEXTS), strict=True):
        np.testing.assert_allclose(values, fixed.log_softmax(0)[ids[1:]], atol=1e-5)


def test_the_model_is_left_as_it_was():
    model, ids = zoo.built("cohere", "causal_lm").eval(), torch.tensor(TEXTS[:1])
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        output_inputs(model, torch.randn(3, 32))
        summed_words.change(model, torch.randn(3, 32))
        failing = model.lm_head.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            summed_words.change(model, torch.randn(3, 32))
        failing.remove()
        assert "forward" not in vars(model.lm_head)
        assert torch.equal(model(input_ids=ids).logits, before)
