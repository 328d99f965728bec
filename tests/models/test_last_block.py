"""The last block at chosen positions; that scores equal plain transformers' is tested for every architecture."""

from __future__ import annotations

import pytest
import tiny
import torch
import zoo

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.inference import batching, last_block, log_probs, outputs, packed_texts
from fairshrink.models.inference.forward import hidden_states

INPUTS = {
    "input_ids": torch.arange(5, 19).view(2, 7),
    "attention_mask": torch.tensor([[1] * 7, [1] * 4 + [0] * 3]),
}
ENCODERS = (*zoo.ENCODERS, *zoo.VARIANTS)


def seen_by(module):
    """Shapes of what a layer is given."""
    shapes = []
    module.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    return shapes


@pytest.mark.parametrize("name", ENCODERS)
def test_chosen_states_are_those_of_the_whole_texts(name):
    model = zoo.built(name, "masked_lm").eval()
    texts, places = [1, 0, 1], [3, 6, 0]
    down = seen_by(model.get_submodule(blocks(model)[-1].down))
    with torch.inference_mode():
        whole = hidden_states(model, INPUTS)[texts, places]
        down.clear()
        chosen = last_block.states_at(model, last_block.last_block(model), INPUTS, texts, places)
        again = hidden_states(model, INPUTS)[texts, places]
    torch.testing.assert_close(chosen, whole, rtol=0, atol=1e-5)
    assert torch.equal(again, whole)  # the model is left as it was
    rows = [torch.Size(shape[:-1]).numel() for shape in down]
    assert rows[0] == (3 if name in packed_texts.ALONE else 14)
    assert rows[-1] == 14


def test_another_text_changes_nothing_but_what_the_heads_have_read_does():
    model = zoo.built("bert", "masked_lm").eval()
    last = last_block.last_block(model)
    changed = INPUTS | {"input_ids": INPUTS["input_ids"].clone()}
    changed["input_ids"][1, 1] = 20
    with torch.inference_mode():
        one, other = (last_block.states_at(model, last, each, [0, 1], [2, 3]) for each in (INPUTS, changed))
    assert torch.equal(one[0], other[0])
    assert (one[1] - other[1]).abs().max() > 1e-2


def test_most_positions_are_computed_with_all_others():
    model = zoo.built("bert", "masked_lm").eval()
    down = seen_by(model.get_submodule(blocks(model)[-1].down))
    with torch.inference_mode():
        last_block.states_at(model, last_block.last_block(model), INPUTS, [0] * 7 + [1], [*range(7), 0])
    assert [torch.Size(shape[:-1]).numel() for shape in down] == [14]


def test_the_model_is_left_as_it_was_after_an_error():
    model = zoo.built("bert", "masked_lm").eval()
    last = last_block.last_block(model)
    with torch.inference_mode():
        before = hidden_states(model, INPUTS)
        with pytest.raises(IndexError):
            last_block.states_at(model, last, INPUTS, [2], [0])
        assert torch.equal(hidden_states(model, INPUTS), before)


@pytest.mark.parametrize("head", ["masked_lm", "classification"])
def test_scores_ask_for_few_positions(head, tmp_path):
    cp = checkpoints.load(tiny.tiny_roberta(head, tmp_path))
    first, last = (seen_by(cp.model.get_submodule(each.down)) for each in blocks(cp.model))
    if head == "masked_lm":
        sequences, positions, targets, _ = batching.each_masked(cp, tiny.SENTENCES)
        log_probs.masked_log_probs(cp, sequences, positions, targets)
        asked = len(sequences)
    else:
        outputs.sequence_logits(cp, tiny.SENTENCES)
        asked = len(tiny.SENTENCES)
    assert sum(torch.Size(shape[:-1]).numel() for shape in last) == asked
    assert sum(torch.Size(shape[:-1]).numel() for shape in first) > 5 * asked
