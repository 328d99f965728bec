"""Weights of 1 to 8 bits against levels worked out one at a time, on every architecture, and their size on disk."""

import copy

import numpy as np
import pytest
import torch
from compression_case import compress, logits, reread, tensor_bytes, tensors_in, tiny
from every_architecture import ALL, built

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.ledger import ledger, measure
from fairshrink.models.stored_forms import packed
from fairshrink.models.stored_forms._shared.bits import pack, packed_width, unpack
from fairshrink.models.stored_forms._shared.coded import Coded, TiedEmbedding, TiedLinear, word_embeddings
from fairshrink.models.stored_forms.packed import Levels


def rounded(weights, bits, group, symmetric):
    """The weights after rounding, by the cards' formulas in float32, a group at a time."""
    out = np.empty_like(weights)
    for row in range(len(weights)):
        for start in range(0, weights.shape[1], group or weights.shape[1]):
            part = weights[row, start : start + (group or weights.shape[1])]
            if symmetric and bits == 1:
                size = np.abs(part).mean(dtype=np.float32)
                new = [size if w > 0 else -size for w in part]
            elif symmetric:
                step = np.abs(part).max() / np.float32(2 ** (bits - 1) - 1) or np.float32(1)
                new = [np.float32(round(float(w / step))) * step for w in part]
            else:
                low, high = min(part.min(), 0), max(part.max(), 0)
                step = np.float32(high - low) / np.float32(2**bits - 1) or np.float32(1)
                zero = round(float(-low / step))
                new = [np.float32(min(max(round(float(w / step)) + zero, 0), 2**bits - 1) - zero) * step for w in part]
            out[row, start : start + len(part)] = new
    return out


@pytest.fixture(scope="module")
def weights():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 48, generator=generator) * torch.rand(6, 1, generator=generator)
    values[2, :16], values[3] = 0, values[3].abs()
    return values


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("columns", [1, 7, 8, 48, 61])
def test_codes_are_packed_to_the_bit(bits, columns):
    codes = torch.randint(2**bits, (5, columns), generator=torch.Generator().manual_seed(bits))
    found = pack(codes, bits)
    assert found.shape == (5, packed_width(columns, bits)) and found.dtype == torch.uint8
    assert found.shape[1] * 8 - columns * bits < 8 * bits
    for row, values in zip(found.tolist(), codes.tolist(), strict=True):
        stream = sum(value << (bits * i) for i, value in enumerate(values))
        assert sum(byte << (8 * i) for i, byte in enumerate(row)) == stream
    assert torch.equal(unpack(found, bits, columns).long(), codes)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize(("group", "symmetric"), [(None, True), (16, True), (None, False), (16, False)])
def test_weights_become_the_nearest_levels(bits, group, symmetric, weights):
    levels = Levels(bits, group, symmetric)
    wanted = rounded(weights.numpy(), bits, group, symmetric)
    found = packed.dequantize(packed.quantize(weights, levels), levels)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, atol=1e-7)
    layer = packed.PackedLinear(packed.Shape(*weights.shape), levels, None)
    layer.fill(packed.quantize(weights, levels))
    assert torch.equal(layer.decode(), found)
    some = torch.tensor([4, 0, 4])
    assert torch.equal(layer.decode(some), found[some])
    values = [len(set(row.round(decimals=6).tolist())) for row in found]
    assert max(values) <= 2**bits * (48 // (group or 48))


def test_levels_by_hand():
    row = torch.tensor([[-1.0, 0.0, 2.0, 14.0]])
    asymmetric = packed.quantize(row, Levels(4, None, False))  # s = 15 / 15, z = 1
    assert (asymmetric.codes.tolist(), asymmetric.scales.tolist(), asymmetric.zeros.tolist()) == (
        [[0, 1, 3, 15]], [[1.0]], [[1]],
    )  # fmt: skip
    symmetric = packed.quantize(row, Levels(4, None, True))  # s = 14 / 7, code 7 is zero; -0.5 is rounded to even
    assert (symmetric.codes.tolist(), symmetric.scales.tolist()) == ([[7, 7, 8, 14]], [[2.0]])


@pytest.mark.parametrize("symmetric", [True, False])
def test_weights_that_are_on_levels_do_not_change(symmetric, weights):
    levels = Levels(5, 16, symmetric)
    once = packed.dequantize(packed.quantize(weights, levels), levels)
    again = packed.dequantize(packed.quantize(once, levels), levels)
    torch.testing.assert_close(again, once, rtol=1e-6, atol=1e-7)


def test_nan_stays_visible(weights):
    broken = weights.clone()
    broken[1, 20] = float("nan")
    for symmetric in (True, False):
        levels = Levels(4, 16, symmetric)
        found = packed.dequantize(packed.quantize(broken, levels), levels)
        assert found[1, 16:32].isnan().all() and not found[1, :16].isnan().any() and not found[2:].isnan().any()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("int4_weight_only", {"group": 16, "scope": "all", "embeddings": True}),
        ("linear_quantization", {"bits": 3, "scope": "all"}),
    ],
)
def test_outputs_are_those_of_a_dense_model_with_rounded_weights(name, method, settings, tmp_path):
    """Fused, transposed and tied matrices; embeddings; the same again after saving and loading."""
    cp = built(name, 0)
    dense = copy.deepcopy(cp)
    embedded = settings.get("embeddings", False)
    layers = [dense.model.get_submodule(layer) for layer in linear_names(dense.model, "all")]
    for weight in [*map(matrix, layers), *([dense.model.get_input_embeddings().weight.detach()] if embedded else [])]:
        new = rounded(weight.numpy(), settings.get("bits", 4), settings.get("group"), "group" not in settings)
        weight.copy_(torch.from_numpy(new))
    after = compress(method, cp, **settings)
    assert not linear_names(after.model, "all")
    torch.testing.assert_close(logits(after), logits(dense), rtol=1e-3, atol=2e-4)
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))
    assert torch.equal(logits(copy.deepcopy(after)), logits(after))


@pytest.mark.parametrize(("name", "head"), [("bert", "masked_lm"), ("llama", "causal_lm")])
def test_a_tied_output_layer_uses_the_codes_of_the_embeddings(name, head, tmp_path):
    before = tiny(name, tmp_path, head)
    after = compress("linear_quantization", tiny(name, tmp_path, head), bits=4, embeddings=True)
    found = [each for each in after.model.modules() if isinstance(each, TiedLinear | TiedEmbedding)]
    assert len(found) == 1 and isinstance(found[0], TiedLinear)
    stored = reread(after, tmp_path / "after") and tensors_in(tmp_path / "after")
    words = before.model.get_input_embeddings().num_embeddings
    shapes = sorted(tuple(each.shape) for each in stored.values() if len(each) == words and each.ndim == 2)
    assert shapes == [(words, 1), (words, 16)]
    counted, whole = ledger(after, before), ledger(before, before)
    assert counted["params"] == whole["params"]
    assert counted["flops_per_token"] == whole["flops_per_token"]


@pytest.mark.parametrize(
    ("method", "settings", "limit"),
    [
        ("int4_weight_only", {"group": 32, "embeddings": True}, 0.20),
        ("int4_weight_only", {"group": 128}, 0.20),
        ("linear_quantization", {"bits": 8, "embeddings": True}, 0.30),
        ("linear_quantization", {"bits": 1}, 0.05),
    ],
)
def test_bytes_on_disk_follow_the_bits(method, settings, limit, tmp_path):
    """Of what is in scope, scales and zero points included, with rows of 128 as the narrowest real models have."""
    cp = tiny("roberta", tmp_path, hidden_size=128, intermediate_size=256, num_hidden_layers=1)
    names = [*linear_names(cp.model, "encoder"), *([word_embeddings(cp.model)] if "embeddings" in settings else [])]
    dense = sum(4 * cp.model.get_submodule(name).weight.numel() for name in names)
    after = compress(method, copy.deepcopy(cp), **settings)
    reread(after, tmp_path / "after")
    stored = tensors_in(tmp_path / "after")
    mine = sum(
        each.nbytes for key, each in stored.items() if key.rpartition(".")[0] in names and not key.endswith("bias")
    )
    assert mine <= limit * dense
    assert measure(after, after)["disk_bytes"] == tensor_bytes(tmp_path / "after")
    assert ledger(after, cp)["effective_bits"] <= 32 * limit


def test_effective_bits_count_scales_and_zero_points(tmp_path):
    cp = tiny("llama", tmp_path)
    after = compress("int4_weight_only", tiny("llama", tmp_path), group=16)
    # a row of 32 has two groups, of 48 three: a scale of 32 bits each, zero points of 4 in whole bytes
    rows = {32: 2 * (32 + 16 + 16 + 32 + 2 * 48), 48: 2 * 32}
    weights = sum(columns * number for columns, number in rows.items())
    most = 4 + 32 * (2 * rows[32] + 3 * rows[48]) / weights + 8 * (rows[32] + 2 * rows[48]) / weights
    assert most - 0.01 < ledger(after, cp)["effective_bits"] <= most


def test_layers_in_scope_alone_are_packed(tmp_path):
    original = tiny("roberta", tmp_path).model
    for scope in ("encoder", "attention", "feed_forward", "all"):
        cp = compress("linear_quantization", tiny("roberta", tmp_path), bits=6, scope=scope)
        found = [name for name, module in cp.model.named_modules() if isinstance(module, Coded)]
        assert found == linear_names(original, scope) == list(cp.structure["packed"])


def test_layers_of_other_bits_one_after_the_other(tmp_path):
    cp = compress("int4_weight_only", tiny("bert", tmp_path), group=16, scope="feed_forward")
    cp = compress("linear_quantization", cp, bits=8, scope="attention", embeddings=True)
    assert sorted({each["bits"] for each in cp.structure["packed"].values()}) == [4, 8]
    assert torch.equal(logits(cp), logits(reread(cp, tmp_path / "after")))


def test_what_cannot_be_packed_is_refused(tmp_path):
    cp = tiny("bert", tmp_path)
    before = logits(cp)
    with pytest.raises(UserError, match=r"groups of 64 weights do not divide rows of 32.*here 16, 32"):
        compress("int4_weight_only", cp)
    assert torch.equal(logits(cp), before)
    cp = compress("linear_quantization", cp, bits=8, embeddings=True)
    with pytest.raises(UserError, match="no dense linear layer"):
        compress("int4_weight_only", cp, group=16)
    with pytest.raises(UserError, match="cannot be compressed again"):
        compress("int4_weight_only", cp, group=16, embeddings=True)
    with pytest.raises(UserError, match="no dense linear layer to prune"):
        compress("magnitude_global", cp, sparsity=0.5)
