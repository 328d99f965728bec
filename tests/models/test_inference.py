"""Oracle: the model's own forward pass on one unpadded text at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import batching, log_probs, outputs, summed_words

TEXTS = [*tiny.SENTENCES, "kind", "She", "A man is a man is a man is a man is a man is a man is a man."]
PAIRS = TEXTS[::-1]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setitem(batching.TOKENS_PER_BATCH, "cpu", 60)
    monkeypatch.setattr(log_probs, "HEAD_ROWS", 7)
    monkeypatch.setattr(summed_words, "STATES", 7)
    monkeypatch.setattr(summed_words, "WORDS", 13)


def alone(cp, ids, **more):
    with torch.no_grad():
        return cp.model(torch.tensor([ids]), output_hidden_states=True, **more)


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta, tiny.tiny_llama])
@pytest.mark.parametrize("pooling", outputs.POOLINGS)
def test_sentence_embeddings(make, pooling, tmp_path):
    cp = checkpoints.load(make("encoder", tmp_path))
    vectors = outputs.sentence_embeddings(cp, TEXTS, pooling)
    assert vectors.dtype == np.float64
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = batching.token_ids(cp, text)
        hidden = alone(cp, ids).last_hidden_state[0].numpy()
        real = hidden if make is tiny.tiny_llama else hidden[1:-1]
        expected = {"mean": real.mean(0), "mean_all": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}
        np.testing.assert_allclose(vector, expected[pooling], atol=1e-4)


def test_models_with_other_task_heads_embed_with_their_encoder(tmp_path):
    for head in ("masked_lm", "regression"):
        cp = checkpoints.load(tiny.tiny_bert(head, tmp_path / head))
        with torch.no_grad():
            hidden = cp.model.bert(torch.tensor([batching.token_ids(cp, TEXTS[0])])).last_hidden_state[0]
        np.testing.assert_allclose(outputs.sentence_embeddings(cp, TEXTS[:1], "cls")[0], hidden[0], atol=1e-4)


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta, tiny.tiny_llama])
@pytest.mark.parametrize("paired", [False, True])
def test_sequence_logits(make, paired, tmp_path):
    cp = checkpoints.load(make("classification", tmp_path))
    logits = outputs.sequence_logits(cp, TEXTS, PAIRS if paired else None)
    assert logits.shape == (len(TEXTS), 3)
    for i, text in enumerate(TEXTS):
        more = {"truncation": "longest_first", "max_length": checkpoints.max_tokens(cp)}
        more |= {"return_token_type_ids": True} if make is tiny.tiny_bert else {}
        encoded = cp.tokenizer(text, PAIRS[i] if paired else None, return_tensors="pt", **more)
        types = {"token_type_ids": encoded["token_type_ids"]} if make is tiny.tiny_bert else {}
        assert not paired or not types or types["token_type_ids"].any()
        with torch.no_grad():
            expected = cp.model(encoded["input_ids"], **types).logits[0]
        np.testing.assert_allclose(logits[i], expected, atol=1e-4)


def test_second_segment_matters_to_bert(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path))
    one = outputs.sequence_logits(cp, TEXTS[:1], PAIRS[:1])
    ids = cp.tokenizer(TEXTS[0], PAIRS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        flat = cp.model(ids, token_type_ids=torch.zeros_like(ids)).logits[0].numpy()
    assert np.abs(one[0] - flat).max() > 1e-2


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta])
def test_masked_log_probs(make, tmp_path):
    cp = checkpoints.load(make("masked_lm", tmp_path))
    sequences, positions, targets = [], [], []
    for text in TEXTS:
        ids = batching.token_ids(cp, text)
        for position in range(1, len(ids) - 1):
            sequences += [[*ids[:position], cp.tokenizer.mask_token_id, *ids[position + 1 :]], ids]
            positions += [position, position]
            targets += [ids[position], ids[1]]
    values = log_probs.masked_log_probs(cp, sequences, positions, targets)
    expected = [
        alone(cp, ids).logits[0, position].log_softmax(-1)[target].item()
        for ids, position, target in zip(sequences, positions, targets, strict=True)
    ]
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_a_sequence_is_computed_once_for_all_of_its_positions(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path))
    seen = []
    cp.model.get_input_embeddings().register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    ids = batching.token_ids(cp, TEXTS[0])
    other = batching.token_ids(cp, TEXTS[1])
    log_probs.masked_log_probs(cp, [ids, other, ids, ids], [1, 2, 3, 4], [5, 6, 7, 8])
    assert sorted(row[row != 0].tolist() for batch in seen for row in batch) == sorted([ids, other])


def test_causal_log_probs(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path))
    sequences = [batching.causal_ids(cp, text) for text in TEXTS] + [[3]]
    values = log_probs.causal_log_probs(cp, sequences)
    assert [len(each) for each in values] == [len(ids) - 1 for ids in sequences]
    for ids, each in zip(sequences[:-1], values, strict=False):
        logs = alone(cp, ids).logits[0].log_softmax(-1)
        np.testing.assert_allclose(each, [logs[t - 1, ids[t]].item() for t in range(1, len(ids))], atol=1e-4)


def test_causal_ids_start_with_the_first_token_and_are_cut(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path))
    bare = batching.token_ids(cp, TEXTS[0], add_special_tokens=False)
    assert batching.causal_ids(cp, TEXTS[0]) == [0, *bare]
    assert batching.causal_ids(cp, TEXTS[0], max_length=5) == [0, *bare[:4]]


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_llama])
def test_attention_received(make, tmp_path):
    cp = checkpoints.load(make("encoder", tmp_path))
    sequences = [batching.token_ids(cp, text) for text in TEXTS]
    before = cp.model.config._attn_implementation
    values = outputs.attention_received(cp, sequences)
    assert cp.model.config._attn_implementation == before != "eager"
    cp.model.set_attn_implementation("eager")
    for ids, each in zip(sequences, values, strict=True):
        maps = torch.stack(alone(cp, ids, output_attentions=True).attentions)[:, 0]
        np.testing.assert_allclose(each, maps.mean((0, 1, 2)), atol=1e-5)
        assert each.sum() == pytest.approx(1, abs=1e-5)


def test_bfloat16_agrees_with_float32_and_is_not_float32(tmp_path):
    path = tiny.tiny_bert("masked_lm", tmp_path, initializer_range=0.1)
    full, half = checkpoints.load(path), checkpoints.load(path, precision="bf16")
    sequences = [batching.token_ids(full, text) for text in TEXTS]
    positions, targets = [1] * len(TEXTS), [ids[1] for ids in sequences]
    one, other = (log_probs.masked_log_probs(cp, sequences, positions, targets) for cp in (full, half))
    assert 0 < np.abs(one - other).max() < 0.05
    one, other = (outputs.sentence_embeddings(cp, TEXTS, "mean") for cp in (full, half))
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert not np.array_equal(one, other)
    assert cosine.min() > 0.999


def test_empty_inputs_give_empty_outputs(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path / "m"))
    assert outputs.sentence_embeddings(cp, [], "mean").shape == (0, 32)
    assert log_probs.masked_log_probs(cp, [], [], []).shape == (0,)
    cp = checkpoints.load(tiny.tiny_bert("regression", tmp_path / "r"))
    assert outputs.sequence_logits(cp, []).shape == (0, 1)


def test_mistakes_are_reported(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path))
    with pytest.raises(UserError, match="this needs a model with the task head masked_lm, this one has 'encoder'"):
        log_probs.masked_log_probs(cp, [[1]], [0], [1])
    with pytest.raises(UserError, match="pooling 'max'"):
        outputs.sentence_embeddings(cp, TEXTS, "max")
    with pytest.raises(UserError, match="65 tokens is too long: the model has 64"):
        batching.collate(cp, [[5] * 65])
    with pytest.raises(UserError, match="empty text"):
        batching.collate(cp, [[]])


def test_texts_are_truncated_to_the_models_positions(tmp_path):
    cp = checkpoints.load(tiny.tiny_roberta("encoder", tmp_path))
    ids = batching.encode(cp, ["kind " * 200])["input_ids"][0]
    assert len(ids) == checkpoints.max_tokens(cp) == 64
    assert ids[-1] == cp.tokenizer.sep_token_id
    assert len(batching.encode(cp, ["kind " * 200], ["she " * 200], max_length=20)["input_ids"][0]) == 20


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_batches_hold_each_item_once_within_the_budget(lengths, budget):
    parts = list(batching.batches(lengths, budget))
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or max(lengths[i] for i in part) * len(part) <= budget
    for part, after in itertools.pairwise(parts):
        assert min(lengths[i] for i in part) >= max(lengths[i] for i in after)


@pytest.mark.parametrize("far", [0.0, 1e4, -1e4, torch.inf, -torch.inf, torch.nan])
def test_sums_of_exponentials_are_those_of_torch(far):
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(3)) * 9
    logits[1] += 1e3
    logits[2, 7] = far
    logits[3] = far
    expected = logits.logsumexp(1)
    torch.testing.assert_close(log_probs._log_sum_exp(logits), expected, rtol=1e-6, atol=1e-5, equal_nan=True)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 200), st.booleans())
def test_no_other_batches_cost_less(lengths, budget, padded):
    def tokens(part):
        return max(part) * len(part) if padded else sum(part)

    def cost(parts):
        return sum(tokens(part) + batching.START * budget for part in parts)

    def allowed(parts):
        return all(len(part) == 1 or (tokens(part) <= budget and spread(part)) for part in parts)

    def spread(part):
        return max(part) * len(part) <= batching.SPREAD * budget

    ordered, n = sorted(lengths, reverse=True), len(lengths)
    cuts = [cut for k in range(n) for cut in itertools.combinations(range(1, n), k)]
    splits = [[ordered[a:b] for a, b in itertools.pairwise((0, *cut, n))] for cut in cuts]
    found = [[lengths[i] for i in part] for part in batching.batches(lengths, budget, padded)]
    assert allowed(found)
    assert cost(found) == pytest.approx(min(map(cost, filter(allowed, splits))))
