"""Texts that share their beginning in one row, against plain transformers on one text at a time."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import zoo
from hypothesis import given
from hypothesis import strategies as st

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import batching, log_probs, packed_rows, shared_prefixes, summed_words

# Pairs that differ in the middle, a text that begins another, a text that is there twice, and one of two tokens.
TEXTS = (
    *tiny.SENTENCES,
    *(text.replace("doctor", "nurse").replace("red", "blue").replace("man", "woman") for text in tiny.SENTENCES),
    "He said that the engineer",
    "He said that the engineer sold a car.",
    tiny.SENTENCES[0],
    "She",
)
# Windows that hold a row, beside those of the other tests, which do not.
WIDE = {"mistral": 64, "gemma2": 64, "gemma3_text": 64}


def checkpoint(name, folder, **config):
    return checkpoints.from_source(zoo.model_folder(name, "causal_lm", folder, **config), head="causal_lm")


def alone(cp, ids):
    with torch.inference_mode():
        logs = cp.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1).double().numpy()
    return logs[range(len(ids) - 1), ids[1:]]


def equal(cp):
    sequences = [batching.causal_ids(cp, text) for text in TEXTS]
    found = log_probs.causal_log_probs(cp, sequences)
    for ids, values in zip(sequences, found, strict=True):
        expected = alone(cp, ids)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
        assert values.sum() == pytest.approx(expected.sum(), abs=5e-5)
    return rows_of(cp, sequences)


def rows_of(cp, sequences, most=None):
    return shared_prefixes.rows(cp, dict(enumerate(sequences)), most)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 200)
    monkeypatch.setattr(log_probs, "HEAD_ROWS", 7)
    monkeypatch.setattr(summed_words, "STATES", 7)
    monkeypatch.setattr(summed_words, "WORDS", 13)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", sorted(shared_prefixes.EXACT))
def test_texts_in_one_row_have_the_values_that_each_has_alone(name, packed, tmp_path, monkeypatch):
    if not packed:
        monkeypatch.setattr(packed_rows, "can_pack", lambda *_: False)
    window = {"sliding_window": WIDE[name]} if name in WIDE else {}
    assert any(row.branches for row in equal(checkpoint(name, tmp_path, **window)))


def test_so_they_have_where_masks_are_added_to_the_logits_of_attention(tmp_path):
    cp = checkpoint("llama", tmp_path)
    cp.model.set_attn_implementation("eager")
    assert any(row.branches for row in equal(cp))


@pytest.mark.parametrize("name", [*WIDE, *sorted(set(zoo.CAUSAL) - shared_prefixes.EXACT)])
def test_a_window_shorter_than_a_row_or_another_architecture_leaves_texts_alone(name, tmp_path):
    assert not any(row.branches for row in equal(checkpoint(name, tmp_path)))


@pytest.mark.parametrize("name", WIDE)
def test_texts_within_a_window_share_rows_and_longer_ones_are_left_alone(name, tmp_path):
    cp = checkpoint(name, tmp_path)
    sequences = [[0, 5, 6, 7, 8], [0, 5, 6, 7, 9], list(range(20)), [*range(19), 30]]
    for ids, values in zip(sequences, log_probs.causal_log_probs(cp, sequences), strict=True):
        np.testing.assert_allclose(values, alone(cp, ids), rtol=0, atol=1e-5)
    assert [row.branches for row in rows_of(cp, sequences)] == [False, False, True]


def test_in_bfloat16_too(tmp_path):
    cp = checkpoint("llama", tmp_path)
    cp.precision = "bf16"
    sequences = [batching.causal_ids(cp, text) for text in TEXTS]
    found = np.concatenate(log_probs.causal_log_probs(cp, sequences))
    np.testing.assert_allclose(found, np.concatenate([alone(cp, ids) for ids in sequences]), atol=0.5)


@pytest.mark.parametrize("way", ["output_inputs", "token_logits"])
def test_a_state_is_asked_once_for_all_that_follows_it(way, tmp_path, monkeypatch):
    cp = checkpoint("llama", tmp_path)
    asked, own = [], getattr(log_probs, way)

    def counted(model, states):
        asked.append(len(states))
        return own(model, states)

    monkeypatch.setattr(log_probs, way, counted)
    if way == "token_logits":
        monkeypatch.setattr(summed_words, "change", lambda *_: None)
    log_probs.causal_log_probs(cp, [[0, 5, 6, 7], [0, 5, 6, 8], [0, 5, 6, 8], [0, 5]])
    assert sum(asked) == 3


@pytest.mark.parametrize("others", [[[0, 5]], [[0, 5, 6, 7], [0, 5, 6, 8]]])
@pytest.mark.parametrize(
    ("wrong", "said"), [([], "an empty text"), ([0] * 65, "65 tokens is too long"), ([0, 10**6], "only .* embeddings")]
)
def test_what_cannot_be_scored_is_named(wrong, said, others, tmp_path):
    with pytest.raises(UserError, match=said):
        log_probs.causal_log_probs(checkpoint("gpt2", tmp_path), [*others, wrong])


SEQUENCES = st.lists(st.lists(st.integers(1, 3), max_size=9).map(lambda ids: [0, *ids]), max_size=12)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return checkpoint("llama", tmp_path_factory.mktemp("llama"))


@given(sequences=SEQUENCES)
def test_each_text_is_a_path_of_a_row_and_reads_nothing_else(llama, sequences):
    rows = rows_of(llama, sequences)
    assert sorted(number for row in rows for number in row.paths) == list(range(len(sequences)))
    for row in rows:
        assert len(row.ids) <= checkpoints.max_tokens(llama)
        seen = shared_prefixes.before(row)
        for number, path in row.paths.items():
            assert [row.ids[i] for i in path] == sequences[number]
            assert [row.depths[i] for i in path] == list(range(len(path)))
            for at, place in enumerate(path):
                assert seen[place].nonzero()[0].tolist() == sorted(path[: at + 1])
        assert {place for path in row.paths.values() for place in path} == set(range(len(row.ids)))


@given(sequences=SEQUENCES, rng=st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_the_order(llama, sequences, rng):
    other = rng.sample(sequences, len(sequences))
    assert [row.ids for row in rows_of(llama, sequences)] == [row.ids for row in rows_of(llama, other)]


@given(sequences=SEQUENCES, most=st.integers(1, 20))
def test_a_long_row_computes_each_beginning_once_as_far_as_it_goes(llama, sequences, most):
    rows = rows_of(llama, sequences, most)
    assert sorted(number for row in rows for number in row.paths) == list(range(len(sequences)))
    for row in rows:
        mine = [sequences[number] for number in row.paths]
        assert len(row.ids) == len({tuple(ids[: end + 1]) for ids in mine for end in range(len(ids))})
        assert len(row.ids) <= most or len({tuple(ids) for ids in mine}) == 1
        for number, path in row.paths.items():
            assert [row.ids[i] for i in path] == sequences[number]
