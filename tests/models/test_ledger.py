"""The ledger against sums worked out by hand for a BERT of 2 layers, 32 wide, with 48 in the feed-forward part."""

import dataclasses
import itertools

import pytest
import torch
from compression_case import as_stored_in, compress, context, task, tensor_bytes, tiny

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import ledger as module
from fairshrink.models.ledger import ledger, measure

# Each layer: query, key, value and output 32 x 32, feed-forward 32 x 48 and 48 x 32; with biases for 208 outputs.
PRUNABLE = 2 * (4 * 32 * 32 + 2 * 32 * 48)
ROWS = 2 * (4 * 32 + 48 + 32)
NORMS = 2 * (2 * 32) * 2
# The one embedding that is zero in a new model: too few zeros for a bitmap over the vocabulary to be smaller.
PADDING = 32


def vocabulary(cp):
    return cp.model.config.vocab_size


def outside(cp):
    """Word, position and segment embeddings and their normalization, biases and normalizations of the layers."""
    return (vocabulary(cp) + 64 + 2) * 32 + 64 + ROWS + NORMS


def bert(folder, head="encoder"):
    return tiny("bert", folder, head)


def test_an_uncompressed_encoder(tmp_path):
    cp = bert(tmp_path)
    assert PRUNABLE == 14336
    assert ledger(cp, cp) == {
        "params": PRUNABLE + outside(cp),
        "prunable_params": PRUNABLE,
        "zero_fraction_prunable": 0.0,
        "zero_fraction_total": PADDING / (PRUNABLE + outside(cp)),
        "effective_bits": 32.0,
        "bytes": 4 * (PRUNABLE + outside(cp)),
        "flops_per_token": 2 * PRUNABLE,
        "cache_bytes_per_token": 0,
    }


def test_half_of_the_weights_of_each_matrix(tmp_path):
    cp = bert(tmp_path)
    after = ledger(compress("magnitude_layerwise", bert(tmp_path), sparsity=0.5), cp)
    before = ledger(cp, cp)
    assert after["zero_fraction_prunable"] == 0.5
    assert after["zero_fraction_total"] == (PRUNABLE / 2 + PADDING) / before["params"]
    assert after["effective_bits"] == 1 + 32 / 2
    assert before["bytes"] - after["bytes"] == 4 * PRUNABLE - (PRUNABLE // 8 + 4 * PRUNABLE // 2)
    assert {k: after[k] for k in ("params", "prunable_params", "flops_per_token")} == {
        k: before[k] for k in ("params", "prunable_params", "flops_per_token")
    }


def test_few_zeros_are_stored_dense(tmp_path):
    cp = bert(tmp_path)
    after = ledger(compress("magnitude_layerwise", bert(tmp_path), sparsity=1 / 64), cp)
    assert after["zero_fraction_prunable"] == 1 / 64
    assert after["effective_bits"] == 32.0
    assert after["bytes"] == ledger(cp, cp)["bytes"]


def test_bfloat16_counts_half(tmp_path):
    cp = as_stored_in(bert(tmp_path), "bfloat16")
    assert ledger(cp, cp)["effective_bits"] == 16.0
    pruned = compress("random", as_stored_in(bert(tmp_path), "bfloat16"), sparsity=0.75)
    assert ledger(pruned, cp)["effective_bits"] == pytest.approx(1 + 16 / 4)


def test_eight_bits_and_their_scales(tmp_path):
    cp = bert(tmp_path)
    before, after = ledger(cp, cp), ledger(compress("int8_dynamic", bert(tmp_path)), cp)
    assert after["effective_bits"] == pytest.approx(8 + 32 * ROWS / PRUNABLE)
    assert before["bytes"] - after["bytes"] == 4 * PRUNABLE - (PRUNABLE + 4 * ROWS)
    for key in ("params", "prunable_params", "flops_per_token"):
        assert after[key] == before[key]
    assert 0 < after["zero_fraction_prunable"] < 0.02  # weights that round to zero


def test_removed_heads_do_not_count_as_zeros(tmp_path):
    cp = bert(tmp_path, "classification")
    compressed = compress(
        "head_pruning", bert(tmp_path, "classification"), context(task(tmp_path, "classification")), sparsity=0.5
    )
    before, after = ledger(cp, cp), ledger(compressed, cp)
    weights, biases = 4 * (4 * 8 * 32), 4 * (3 * 8)  # of four heads: query, key, value, output; no bias on the last
    assert after["prunable_params"] == PRUNABLE - weights
    assert before["params"] - after["params"] == weights + biases
    assert after["zero_fraction_prunable"] == 0.0
    assert after["effective_bits"] == pytest.approx(32 * (PRUNABLE - weights) / PRUNABLE)
    assert after["flops_per_token"] == 2 * (PRUNABLE - weights)
    assert before["bytes"] - after["bytes"] == 4 * (weights + biases)


def test_language_model_heads_count_per_token_and_tied_matrices_once(tmp_path):
    cp = bert(tmp_path, "masked_lm")
    v = vocabulary(cp)
    assert ledger(cp, cp)["flops_per_token"] == 2 * (PRUNABLE + 32 * 32 + 32 * v)
    assert ledger(cp, cp)["params"] == PRUNABLE + outside(cp) + (32 * 32 + 32) + 64 + v  # transform, norm, bias
    llama = tiny("llama", tmp_path)
    block = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48  # keys and values have half the heads
    assert ledger(llama, llama)["prunable_params"] == 2 * block
    assert ledger(llama, llama)["flops_per_token"] == 2 * (2 * block + 32 * vocabulary(llama))
    assert ledger(llama, llama)["params"] == 2 * (block + 64) + 32 * vocabulary(llama) + 32


def test_task_heads_for_whole_texts_do_not_count_per_token(tmp_path):
    cp = bert(tmp_path, "classification")
    assert ledger(cp, cp)["flops_per_token"] == 2 * PRUNABLE
    assert ledger(cp, cp)["params"] == PRUNABLE + outside(cp) + (32 * 32 + 32) + (3 * 32 + 3)


@pytest.mark.parametrize("method", ["random", "head_pruning", "int8_dynamic", "random_init"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bytes_are_those_of_the_file(method, dtype, tmp_path):
    cp = as_stored_in(tiny("llama", tmp_path), dtype)
    settings = {"sparsity": 0.5} if method in ("random", "head_pruning") else {}
    after = compress(method, cp, context(task(tmp_path, "causal_lm")), **settings)
    checkpoints.save(after, tmp_path / "after")
    assert ledger(after, cp)["bytes"] == tensor_bytes(tmp_path / "after")
    assert measure(after, after)["disk_bytes"] == ledger(after, cp)["bytes"]


def test_turns_alternate_and_the_median_counts(tmp_path, monkeypatch):
    own, other = bert(tmp_path), bert(tmp_path)
    script = {id(own): [9.0, 3, 1, 2, 5, 4, 7, 6], id(other): [9.0, 8, 8, 8, 8, 8, 99, 0]}
    order = []

    def take(cp):
        order.append(cp is own)
        return script[id(cp)].pop(0)

    monkeypatch.setattr(module, "_forward_seconds", take)
    found = measure(own, other)
    assert order == [True, False] * 8
    assert (found["latency_ms"], found["baseline_latency_ms"], found["latency_ratio"]) == (4000, 8000, 0.5)


@pytest.mark.parametrize(("seconds", "expected"), [(0.005, 7), (0.55, 3), (1.05, 2), (2.5, 1)])
def test_a_slow_model_is_run_fewer_times(seconds, expected, tmp_path, monkeypatch):
    turns, clock = [], itertools.count(1, seconds)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(module, "_forward_seconds", lambda cp: turns.append(cp) or 1.0)
    measure(bert(tmp_path), bert(tmp_path))
    assert len(turns) == 2 * (1 + expected)


def test_a_baseline_is_as_fast_as_itself(tmp_path):
    cp = bert(tmp_path)
    found = measure(cp, cp)
    assert found["latency_ratio"] == 1.0
    assert 0 < found["latency_ms"] == found["baseline_latency_ms"]


def test_measuring_changes_nothing(tmp_path):
    cp = tiny("roberta", tmp_path, "classification")
    before = {name: value.clone() for name, value in cp.model.state_dict().items()}
    measure(cp, dataclasses.replace(cp))
    assert all(torch.equal(value, before[name]) for name, value in cp.model.state_dict().items())
