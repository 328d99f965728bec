"""GPTQ, AWQ and static int8 against slow implementations of their formulas, and against rounding to nearest."""

import copy

import numpy as np
import pytest
import torch
from compression_case import compress, context, logits, reread, task, tiny
from every_architecture import ALL, built

from fairshrink.compression._shared.moments import Moments, output_error
from fairshrink.compression.quantization.awq.search import best_factors
from fairshrink.compression.quantization.gptq.rounding import order_of, rounded
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.ledger import ledger
from fairshrink.models.stored_forms import packed
from fairshrink.models.stored_forms.packed import Levels

METHODS = ("gptq", "awq", "int8_static")


@pytest.fixture(scope="module")
def case():
    """Weights [6, 32], and inputs [200, 32] of which some are large and all depend on each other."""
    generator = torch.Generator().manual_seed(2)
    mixing = torch.randn(32, 32, generator=generator) * torch.linspace(0.2, 3, 32)
    return torch.randn(6, 32, generator=generator), torch.randn(200, 32, generator=generator) @ mixing


def slow_gptq(weights, inputs, levels, damping, act_order):
    """Column by column with a new inverse for what is left each time, in float64 (optimal brain quantization)."""
    w, h = weights.double().clone(), inputs.double().t() @ inputs.double()
    h += damping * h.diagonal().mean() * torch.eye(len(h), dtype=torch.float64)
    order = (
        sorted(range(len(h)), key=lambda j: -float((inputs[:, j].double() ** 2).sum())) if act_order else range(len(h))
    )
    out, scales, width = torch.zeros_like(w), {}, levels.group or len(h)
    left = list(order)
    for j in order:
        if j // width not in scales:
            source = weights if act_order else w
            part = source[:, j // width * width : (j // width + 1) * width].float()
            scales[j // width] = packed.steps(part, Levels(levels.bits, None, levels.symmetric))
        scale, zero = scales[j // width]
        code = packed.encode(w[:, j : j + 1].float(), scale, zero, levels)
        out[:, j] = ((code - zero) * scale)[:, 0].double()
        inverse = torch.linalg.inv(h[left][:, left])
        at = left.index(j)
        error = (w[:, j] - out[:, j]) / inverse[at, at]
        for k, other in enumerate(left):
            w[:, other] -= error * inverse[at, k]
        left.remove(j)
    return out


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize(("bits", "group", "symmetric"), [(4, 8, False), (3, None, True), (2, 16, False)])
def test_gptq_is_optimal_brain_quantization(bits, group, symmetric, act_order, case):
    weights, inputs = case
    levels = Levels(bits, group, symmetric)
    wanted = slow_gptq(weights, inputs, levels, 0.01, act_order)
    found = packed.dequantize(rounded(weights, order_of(inputs.t() @ inputs, 0.01, act_order), levels), levels)
    close = torch.isclose(found, wanted.float(), rtol=1e-4, atol=1e-5)
    assert close.float().mean() > 0.98  # a weight halfway between two levels may go either way in float32


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_gptq_changes_outputs_less_than_rounding_to_nearest(bits, act_order, case):
    weights, inputs = case
    levels, products = Levels(bits, 16, False), inputs.t() @ inputs
    mine = packed.dequantize(rounded(weights, order_of(products, 0.01, act_order), levels), levels) - weights
    nearest = packed.dequantize(packed.quantize(weights, levels), levels) - weights
    assert output_error(mine, products) < 0.8 * output_error(nearest, products)


def test_weights_that_are_on_levels_do_not_change(case):
    levels = Levels(4, 16, True)
    weights = packed.dequantize(packed.quantize(case[0], levels), levels)
    products = case[1].t() @ case[1]
    for act_order in (False, True):
        found = packed.dequantize(rounded(weights, order_of(products, 0.01, act_order), levels), levels)
        torch.testing.assert_close(found, weights, rtol=1e-5, atol=1e-6)


def test_awq_finds_the_best_power(case):
    weights, inputs = case
    levels, products = Levels(3, 16, False), inputs.t() @ inputs
    moments = Moments(len(inputs), {"absolutes": inputs.abs().sum(0).double(), "products": products})
    errors = []
    for step in range(11):
        powers = inputs.abs().mean(0) ** (step / 10)
        factors = powers / (powers.max() * powers.min()).sqrt()
        new = packed.dequantize(packed.quantize(weights * factors, levels), levels) / factors
        errors.append((float(((new - weights) @ inputs.t()).square().sum()), factors))
    wanted = min(errors, key=lambda each: each[0])
    assert wanted[0] < errors[0][0]
    torch.testing.assert_close(best_factors(weights, moments, levels, 10), wanted[1], rtol=1e-5, atol=1e-6)


def test_awq_keeps_plain_rounding_where_nothing_is_better(case):
    weights = packed.dequantize(packed.quantize(case[0], Levels(4, 16, True)), Levels(4, 16, True))
    moments = Moments(200, {"absolutes": case[1].abs().sum(0).double(), "products": case[1].t() @ case[1]})
    assert best_factors(weights, moments, Levels(4, 16, True), 10) is None


@pytest.mark.parametrize("name", ALL)
def test_every_architecture(name, tmp_path):
    """Each method in turn, on fused and transposed matrices; the same again after saving and loading."""
    cp = built(name, 0)
    if cp.head not in ("classification", "regression"):
        cp = built(name, 2) if built(name, 2).head in ("classification", "regression") else cp
    kind = {"encoder": "regression"}.get(cp.head, cp.head)
    about, method = context(task(tmp_path, kind)), METHODS[ALL.index(name) % 3]
    settings = {} if method == "int8_static" else {"bits": 8, "group": 16}
    before, names = logits(cp), linear_names(cp.model, "encoder")
    after = compress(method, cp, about, calibration_items=8, **settings)
    assert not linear_names(after.model, "encoder")
    difference = (logits(after) - before).abs().mean() / before.abs().mean()
    assert 1e-5 < difference < 0.3
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))
    (form,) = after.structure.values()
    assert sorted(form.get("modules", form)) == sorted(names)


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_outputs_change_less_than_by_rounding_to_nearest(method, tmp_path):
    """Of each layer of the first block, whose inputs are those of the dense model; the same in any order of batches."""
    about = context(task(tmp_path, "classification"))
    dense, after = tiny("bert", tmp_path), compress(method, tiny("bert", tmp_path), about, bits=3, group=16)
    seen = {}
    names = linear_names(dense.model, "encoder")[:6]
    hooks = [
        dense.model.get_submodule(each).register_forward_pre_hook(
            lambda _, args, each=each: seen.update({each: args[0]})
        )
        for each in names
    ]
    from fairshrink.data.examples import frames
    from fairshrink.models.inference.batching import collate, encode

    texts = encode(dense, list(frames(about.task)["train"]["text"]), None, max_length=128)["input_ids"]
    sums = {}
    with torch.inference_mode():
        for ids in texts:
            dense.model(**collate(dense, [ids]))
            for each, x in seen.items():
                sums[each] = sums.get(each, 0) + x[0].t() @ x[0]
    for hook in hooks:
        hook.remove()
    levels = Levels(3, 16, False)
    for each in names:
        weights = matrix(dense.model.get_submodule(each))
        nearest = packed.dequantize(packed.quantize(weights, levels), levels) - weights
        mine = after.model.get_submodule(each).decode() - weights
        assert output_error(mine, sums[each]) <= output_error(nearest, sums[each]) * (1 if method == "awq" else 0.95)


def test_static_scales_are_those_of_the_largest_input(tmp_path):
    about = context(task(tmp_path, "classification"))
    before, after = tiny("bert", tmp_path), compress("int8_static", tiny("bert", tmp_path), about)
    name = linear_names(before.model, "encoder")[0]
    layer, dense = after.model.get_submodule(name), before.model.get_submodule(name)
    inputs = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    inputs[0, 0], inputs[3, 1] = 1e3, float("nan")  # clipped; visible
    scale = layer.input_scale.item()
    codes = np.clip(np.rint(inputs.numpy() / np.float32(scale)), -127, 127)
    rows = dense.weight.detach().numpy()
    steps = np.abs(rows).max(1, keepdims=True) / np.float32(127)
    wanted = codes @ np.rint(rows / steps).T * scale * steps.T + dense.bias.detach().numpy()
    found = layer(inputs).detach().numpy()
    np.testing.assert_allclose(found[[0, 1, 2, 4]], wanted[[0, 1, 2, 4]], rtol=1e-4, atol=1e-4)
    assert np.isnan(found[3]).all()
    counted = ledger(after, before)
    assert counted["params"] == ledger(before, before)["params"] and 8 < counted["effective_bits"] < 9.5


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_calibrated_is_refused(method, tmp_path):
    with pytest.raises(UserError, match="needs a task"):
        compress(method, tiny("bert", tmp_path), **({} if method == "int8_static" else {"group": 16}))
    about = context(task(tmp_path, "classification"))
    once = compress(method, tiny("bert", tmp_path), about, **({} if method == "int8_static" else {"group": 16}))
    with pytest.raises(UserError, match="linear layer"):
        compress(method, copy.deepcopy(once), about)
    if method != "int8_static":
        with pytest.raises(UserError, match="do not divide rows of 32"):
            compress(method, tiny("bert", tmp_path), about)
