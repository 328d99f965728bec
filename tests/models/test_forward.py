"""The two halves of a forward pass; that they equal the whole is tested for every architecture."""

from __future__ import annotations

import pytest
import torch
import zoo

from fairshrink.errors import UserError
from fairshrink.models.inference.forward import hidden_states, token_logits


@pytest.fixture(scope="module")
def model():
    return zoo.built("granite", "causal_lm")


def inputs(length=7):
    return {"input_ids": torch.arange(5, 5 + length)[None], "attention_mask": torch.ones((1, length), dtype=torch.long)}


def test_only_the_chosen_positions_reach_the_vocabulary(model):
    seen = []
    handle = model.lm_head.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    with torch.no_grad():
        whole = model(**inputs()).logits[0]
        states = hidden_states(model, inputs())[0]
        torch.testing.assert_close(token_logits(model, states[[5, 2, 2]]), whole[[5, 2, 2]], rtol=0, atol=1e-6)
    handle.remove()
    assert seen == [(1, 7, 32), (1, 3, 32)]


def test_the_model_is_left_as_it_was_whatever_happens(model):
    with torch.no_grad():
        before = model(**inputs()).logits
        states = hidden_states(model, inputs())[0]
        token_logits(model, states)
        with pytest.raises(RuntimeError):
            token_logits(model, states[:, :5])
        assert torch.equal(model(**inputs()).logits, before)


def test_a_model_that_runs_its_transformer_in_another_way_is_refused(model):
    class Twice(type(model)):
        def forward(self, input_ids):
            self.model(input_ids=input_ids)
            return super().forward(input_ids=input_ids)

    twice = Twice(model.config).eval()
    with pytest.raises(UserError, match="cannot compute the logits of single positions"):
        token_logits(twice, torch.zeros((3, 32)))


def test_no_keys_and_values_are_kept(model):
    """They would cost memory and are never asked for."""
    kept = []
    handle = model.model.register_forward_hook(lambda module, given, output: kept.append(output.past_key_values))
    hidden_states(model, inputs())
    handle.remove()
    assert kept == [None]
