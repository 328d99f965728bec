"""8-bit layers against plain numpy."""

import numpy as np
import pytest
import torch
from compression_case import compress, logits, tiny

from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.stored_forms import int8


def rounded(matrix):
    """Codes and scales, one row at a time, by the card's formulas."""
    codes, scales = np.zeros(matrix.shape, dtype=np.int64), np.ones(len(matrix), dtype=np.float32)
    for row, values in enumerate(matrix):
        largest = np.float32(max(abs(value) for value in values))
        if largest > 0:
            scales[row] = largest / np.float32(127)
            codes[row] = [round(float(np.float32(value) / scales[row])) for value in values]
    return codes, scales


def layer(weight, bias, activations):
    module = int8.Int8Linear(weight.shape[1], weight.shape[0], bias is not None, activations)
    module.codes, module.scales = int8.quantize(weight)
    if bias is not None:
        module.bias = torch.nn.Parameter(bias)
    return module.requires_grad_(False)


@pytest.fixture
def numbers():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(24, 1500, generator=generator) * torch.rand(24, 1, generator=generator)
    weight[5] = 0
    inputs = torch.randn(2, 3, 1500, generator=generator)
    inputs[1, 2] = 0
    return weight, torch.randn(24, generator=generator), inputs


def test_weights_are_rounded_per_row(numbers):
    weight = numbers[0]
    codes, scales = int8.quantize(weight)
    wanted, wanted_scales = rounded(weight.numpy())
    assert np.array_equal(codes.numpy(), wanted)
    assert np.array_equal(scales.numpy(), wanted_scales)
    assert codes.abs().amax(1).tolist() == [127] * 5 + [0] + [127] * 18
    error = (codes * scales[:, None] - weight).abs()
    assert (error <= scales[:, None] * 0.5001).all()


def test_codes_by_hand():
    codes, scales = int8.quantize(torch.tensor([[-2.54, 1.0, 0.013, -0.045]]))
    assert scales.tolist() == pytest.approx([0.02])
    assert codes.tolist() == [[-127, 50, 1, -2]]
    exact, _ = int8.quantize(torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]]))
    assert exact.tolist() == [[127, 0, 2, 2, 0, -2]]  # halves are rounded to even


@pytest.mark.parametrize("with_bias", [True, False])
def test_dynamic_layer_against_integers(numbers, with_bias):
    weight, bias, inputs = numbers
    codes, scales = rounded(weight.numpy())
    x_codes, x_scales = rounded(inputs.reshape(-1, 1500).numpy())
    wanted = (x_codes @ codes.T) * x_scales[:, None].astype(float) * scales.astype(float)
    wanted += bias.numpy() if with_bias else 0
    out = layer(weight, bias if with_bias else None, "dynamic")(inputs)
    assert out.shape == (2, 3, 24)
    np.testing.assert_allclose(out.reshape(-1, 24).numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_weight_only_layer_against_numpy(numbers):
    weight, bias, inputs = numbers
    codes, scales = rounded(weight.numpy())
    wanted = inputs.double().numpy() @ (codes * scales[:, None].astype(float)).T + bias.numpy()
    np.testing.assert_allclose(layer(weight, bias, "none")(inputs).numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_both_kernels_give_the_same_integers(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randint(-127, 128, (n, 5000), dtype=torch.int8, generator=generator) for n in (7, 9))
    left[0], right[0], right[1] = 127, 127, -127  # the largest sum there can be: 80,645,000, beyond float32's integers
    left[1, ::2] = 126
    wanted = left.long() @ right.long().T
    assert abs(wanted).max() > 2**26
    for vnni in (torch.cpu._is_vnni_supported(), False):
        monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda answer=vnni: answer)
        assert torch.equal(int8.int_product(left, right).long(), wanted)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(int8.int_product(left, right).long(), wanted)


def test_a_token_does_not_depend_on_its_batch(numbers):
    weight, bias, inputs = numbers
    module = layer(weight, bias, "dynamic")
    assert torch.equal(module(inputs)[1, 1], module(inputs[1:, 1:2])[0, 0])


@pytest.mark.parametrize("activations", ["dynamic", "none"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_nan_and_inf_stay_visible(numbers, activations, broken):
    weight, bias, inputs = numbers
    inputs[0, 0, 7] = broken
    out = layer(weight, bias, activations)(inputs)
    assert not out[0, 0, :5].isfinite().any()
    assert out[0, 1:].isfinite().all() and out[1].isfinite().all()


def test_bfloat16_autocast_gives_about_the_same(numbers):
    weight, bias, inputs = numbers
    for activations in ("dynamic", "none"):
        module = layer(weight, bias, activations)
        with torch.autocast("cpu", torch.bfloat16):
            rough = module(inputs).float()
        torch.testing.assert_close(rough, module(inputs), rtol=0.05, atol=0.5)
        assert (rough - module(inputs)).abs().mean() < 0.05


@pytest.mark.parametrize("method", ["int8_dynamic", "int8_weight_only"])
@pytest.mark.parametrize("name", ["bert", "roberta", "llama"])
def test_a_quantized_model_is_close_to_the_original(method, name, tmp_path):
    before = logits(tiny(name, tmp_path))
    cp = compress(method, tiny(name, tmp_path))
    assert linear_names(cp.model, "encoder") == []
    difference = (logits(cp) - before).abs().mean() / before.abs().mean()
    assert 1e-4 < difference < 0.1


def test_dynamic_and_weight_only_differ_by_the_activations(tmp_path):
    one, other = (compress(method, tiny("bert", tmp_path)) for method in ("int8_dynamic", "int8_weight_only"))
    name = "bert.encoder.layer.0.attention.self.query"
    assert torch.equal(one.model.get_submodule(name).codes, other.model.get_submodule(name).codes)
    assert not torch.equal(logits(one), logits(other))


def test_scope_decides_what_is_quantized(tmp_path):
    original = tiny("roberta", tmp_path).model
    for scope in ("encoder", "attention", "feed_forward", "all"):
        cp = compress("int8_dynamic", tiny("roberta", tmp_path), scope=scope)
        found = [name for name, module in cp.model.named_modules() if isinstance(module, int8.Int8Linear)]
        assert found == linear_names(original, scope) == cp.structure["int8"]["modules"]


def test_quantizing_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="int8"):
        compress("int8_dynamic", compress("int8_weight_only", tiny("bert", tmp_path)))


def test_pruned_weights_stay_zero(tmp_path):
    cp = compress("magnitude_global", tiny("bert", tmp_path), sparsity=0.5)
    name = linear_names(cp.model, "encoder")[0]
    gone = cp.model.get_submodule(name).weight == 0
    codes = compress("int8_dynamic", cp).model.get_submodule(name).codes
    assert gone.any() and (codes[gone] == 0).all()
