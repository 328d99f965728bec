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

# Rows of several lengths, two of them with branches, two of equal length, one of a single token.
SEQUENCES = [
    *([0, 5, 6, 7, 8, 9, 10], [0, 5, 6, 7, 8, 11], [0, 5, 6, 12, 13]),
    *([1, 7, 8, 9, 10], [1, 7, 8, 9, 11]),
    *([2, 20, 21, 22], [3, 20, 21, 22], [4, 20, 21, 23]),
    [7],
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = zoo.model_folder("llama", "causal_lm", tmp_path_factory.mktemp("llama"))
    return checkpoints.from_source(folder, head="causal_lm")


@pytest.fixture
def rows(llama):
    found = shared_prefixes.rows(llama, SEQUENCES)
    assert {row.branches for row in found} == {True, False}
    return sorted(found, key=lambda row: -len(row.ids))


def alone(cp, row, path):
    ids = torch.tensor([[row.ids[place] for place in path]])
    return cp.model.base_model(input_ids=ids).last_hidden_state[0]


def test_states_are_those_of_each_text_alone(llama, rows):
    with torch.inference_mode():
        found = packed_rows.states(llama.model, rows)
        start = 0
        for row in rows:
            for path in row.paths.values():
                mine = found[[start + place for place in path]]
                torch.testing.assert_close(mine, alone(llama, row, path), rtol=0, atol=1e-5)
            start += len(row.ids)
    assert len(found) == start


def test_no_layer_sees_padding(llama, monkeypatch):
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 11)
    shapes = []
    down = llama.model.get_submodule(blocks(llama.model)[0].down)
    handle = down.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape[:-1])))
    log_probs.causal_log_probs(llama, SEQUENCES)
    handle.remove()
    assert sum(np.prod(shape) for shape in shapes) == sum(
        len(row.ids) for row in shared_prefixes.rows(llama, SEQUENCES)
    )
    assert max(np.prod(shape) for shape in shapes) <= 11


def test_attention_is_left_as_it_was(llama, rows):
    before = dict(ALL_ATTENTION_FUNCTIONS)
    with torch.inference_mode():
        packed_rows.states(llama.model, rows)
    assert dict(ALL_ATTENTION_FUNCTIONS) == before
    with pytest.raises(IndexError):
        packed_rows.states(llama.model, [shared_prefixes.Row([10**6], [-1], [0], {0: [0]})])
    assert dict(ALL_ATTENTION_FUNCTIONS) == before


def test_neighbors_of_equal_length_are_read_together(rows):
    runs = packed_rows.runs(rows)
    assert sum(run.rows * run.length for run in runs) == sum(len(row.ids) for row in rows)
    assert any(run.rows > 1 for run in runs)
    assert [run.start for run in runs] == np.cumsum([0, *(run.rows * run.length for run in runs[:-1])]).tolist()
    for run in runs:
        assert run.mask is None or run.mask.shape == (run.rows, 1, run.length, run.length)


@pytest.mark.parametrize("changed", [{"device": "cuda"}, {"attention": "eager"}, {"window": 3}])
def test_elsewhere_rows_are_padded(llama, changed, monkeypatch):
    row = shared_prefixes.Row([0, 5, 6, 7], [-1, 0, 1, 2], [0, 1, 2, 3], {0: [0, 1, 2, 3]})
    assert packed_rows.can_pack(llama, row)
    if "device" in changed:
        monkeypatch.setattr(checkpoints.Checkpoint, "device", torch.device(changed["device"]))
    monkeypatch.setattr(llama.model.config, "_attn_implementation", changed.get("attention", "sdpa"))
    monkeypatch.setattr(llama.model.config, "sliding_window", changed.get("window"), raising=False)
    assert not packed_rows.can_pack(llama, row)


@pytest.mark.parametrize("budget", [1, 7, 12, 1000])
def test_batches_without_padding_hold_the_tokens_of_the_budget(budget):
    lengths = [3, 9, 1, 4, 4, 2, 12]
    found = list(batching.batches(lengths, budget, padded=False))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch, after in zip(found, [*found[1:], None], strict=True):
        tokens = sum(lengths[i] for i in batch)
        assert tokens <= budget or len(batch) == 1
        assert after is None or tokens + lengths[after[0]] > budget
