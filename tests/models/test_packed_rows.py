"""Rows end to end without padding; that values equal each text's alone is tested for every architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.inference import batching, log_probs, packed_rows, shared_prefixes

# Texts of several lengths, some with a common beginning, one that begins another, equal ones, one of a single token.
SEQUENCES = [
    *([0, 5, 6, 7, 8, 9, 10], [0, 5, 6, 7, 8, 11], [0, 5, 6, 12, 13]),
    *([1, 7, 8, 9, 10], [1, 7, 8, 9, 11]),
    *([2, 20, 21, 22], [3, 20, 21, 22], [4, 20, 21, 23]),
    *([0, 5, 6, 7], [0, 5, 6, 7], [7]),
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = zoo.model_folder("llama", "causal_lm", tmp_path_factory.mktemp("llama"))
    return checkpoints.from_source(folder, head="causal_lm")


@pytest.fixture
def rows(llama):
    found = shared_prefixes.rows(llama, dict(enumerate(SEQUENCES)), most=12)
    assert len(found) > 1
    assert max(len(row.ids) for row in found) <= 12
    return found


def test_states_are_those_of_each_text_alone(llama, rows):
    with torch.inference_mode():
        found = packed_rows.states(llama.model, rows)
        start, numbers = 0, []
        for row in rows:
            for number, path in row.paths.items():
                mine = found[[start + place for place in path]]
                expected = llama.model.base_model(input_ids=torch.tensor([SEQUENCES[number]])).last_hidden_state[0]
                torch.testing.assert_close(mine, expected, rtol=0, atol=1e-5)
                numbers.append(number)
            start += len(row.ids)
    assert len(found) == start
    assert sorted(numbers) == list(range(len(SEQUENCES)))


def test_each_beginning_is_computed_once_and_no_layer_sees_padding_or_a_last_token(llama, monkeypatch):
    shapes = []
    down = llama.model.get_submodule(blocks(llama.model)[0].down)
    handle = down.register_forward_pre_hook(lambda _, given: shapes.append(int(np.prod(given[0].shape[:-1]))))
    log_probs.causal_log_probs(llama, SEQUENCES)
    assert shapes == [len({tuple(ids[:end]) for ids in SEQUENCES for end in range(1, len(ids))})]
    shapes.clear()
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 11)
    log_probs.causal_log_probs(llama, SEQUENCES)
    handle.remove()
    assert len(shapes) > 1
    assert max(shapes) <= 11


def test_attention_is_left_as_it_was(llama, rows):
    before = dict(ALL_ATTENTION_FUNCTIONS)
    with torch.inference_mode():
        packed_rows.states(llama.model, rows)
    assert dict(ALL_ATTENTION_FUNCTIONS) == before
    with pytest.raises(IndexError):
        packed_rows.states(llama.model, [shared_prefixes.Row([10**6], [-1], [0], {0: [0]})])
    assert dict(ALL_ATTENTION_FUNCTIONS) == before


def test_attention_reads_each_different_text_once(rows):
    found = packed_rows.different_texts(rows)
    assert [len(text) for text in found] == sorted(len(ids) for ids in {tuple(ids) for ids in SEQUENCES})
    ids = [token for row in rows for token in row.ids]
    assert {tuple(ids[place] for place in text) for text in found} == {tuple(ids) for ids in SEQUENCES}


@pytest.mark.parametrize("changed", [{"device": "cuda"}, {"attention": "eager"}, {"window": 3}])
def test_elsewhere_rows_are_padded(llama, changed, monkeypatch):
    assert packed_rows.can_pack(llama, [0, 5, 6, 7])
    if "device" in changed:
        monkeypatch.setattr(checkpoints.Checkpoint, "device", torch.device(changed["device"]))
    monkeypatch.setattr(llama.model.config, "_attn_implementation", changed.get("attention", "sdpa"))
    monkeypatch.setattr(llama.model.config, "sliding_window", changed.get("window"), raising=False)
    assert not packed_rows.can_pack(llama, [0, 5, 6, 7])


@pytest.mark.parametrize("budget", [1, 7, 12, 1000])
def test_batches_without_padding_hold_the_tokens_of_the_budget(budget):
    lengths = [3, 9, 1, 4, 4, 2, 12]
    found = list(batching.batches(lengths, budget, padded=False))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch, after in zip(found, [*found[1:], None], strict=True):
        tokens = sum(lengths[i] for i in batch)
        assert tokens <= budget or len(batch) == 1
        assert after is None or tokens + lengths[after[0]] > budget
