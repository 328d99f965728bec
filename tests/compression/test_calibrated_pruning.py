"""Wanda, SparseGPT and 2:4 patterns against slow implementations of their definitions."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from compression_case import as_stored_in, compress, context, logits, reread, task, tiny
from every_architecture import ALL, built
from pydantic import ValidationError

from fairshrink import registry
from fairshrink.compression._shared.calibration import calibration_texts
from fairshrink.compression._shared.columns import one_by_one
from fairshrink.compression._shared.inverse import upper_factor
from fairshrink.compression._shared.moments import output_error
from fairshrink.compression._shared.patterns import lowest_in_rows, removed
from fairshrink.compression.unstructured.sparsegpt.surgeon import pruned
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, linear_names
from fairshrink.models.architecture.linear import matrix

ITEMS = {"calibration_items": 6, "calibration_length": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("calibrated")


@pytest.fixture(scope="module")
def about(folder):
    return context(task(folder, "classification"))


def inputs_of(cp, about, names):
    """Inputs [k, in] of layers in float64, each text run by itself."""
    found = {name: [] for name in names}
    handles = [
        cp.model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: found[name].append(args[0].reshape(-1, args[0].shape[-1]).double())
        )
        for name in names
    ]
    settings = registry.load("compression", "wanda").Settings(sparsity=0.5, **ITEMS)
    with torch.no_grad():
        for text in calibration_texts(cp, settings, about, "wanda"):
            cp.model(input_ids=torch.tensor([text.ids]), attention_mask=torch.ones(1, len(text.ids), dtype=torch.long))
    for handle in handles:
        handle.remove()
    return {name: torch.cat(rows) for name, rows in found.items()}


def remove_lowest(row: np.ndarray, scores: np.ndarray, number: int) -> None:
    for at in sorted(range(len(row)), key=lambda at: (scores[at], at))[:number]:
        row[at] = 0.0


def slow_wanda(cp, about, sparsity, width=None):
    """Row by row, block by block, each block with the inputs of a model whose blocks before it are pruned."""
    for block in blocks(cp.model):
        inputs = inputs_of(cp, about, block.linears)
        for name in block.linears:
            weight = matrix(cp.model.get_submodule(name)).numpy()
            norms = inputs[name].square().sum(0).sqrt().numpy()
            for row in weight:
                scores = np.abs(row) * norms.astype(np.float32)
                for start in range(0, len(row), width or len(row)):
                    part = slice(start, start + (width or len(row)))
                    remove_lowest(row[part], scores[part], width // 2 if width else round(sparsity * len(row)))
    return cp


@pytest.mark.parametrize("name", ["bert", "gpt2", "modernbert", "opt", "qwen3", "bloom", "deberta-v2", "t5"])
@pytest.mark.parametrize("width", [None, 4])
def test_wanda(name, width, about):
    cp = built(name, 0)
    settings = {"sparsity": 0.5, "pattern": "2:4"} if width else {"sparsity": 0.4}
    wanted = slow_wanda(copy.deepcopy(cp), about, 0.4, width)
    after = compress("wanda", cp, about, **settings, **ITEMS)
    for layer in linear_names(after.model, "encoder"):
        own, slow = matrix(after.model.get_submodule(layer)), matrix(wanted.model.get_submodule(layer))
        # Sums in another order can swap two scores that are equal but for rounding.
        assert float((own != slow).double().mean()) < 0.002, layer
        assert torch.equal((own == 0).sum(1), (slow == 0).sum(1))


def slow_sparsegpt(weight, products, sparsity, block, damping, width=None):
    """Every step with the inverse of what is left, row by row: optimal brain surgeon in the order of the columns."""
    h = products.astype(np.float64)
    h = h + damping * np.trace(h) / len(h) * np.eye(len(h))
    left, (rows, columns) = weight.astype(np.float64), weight.shape
    inverses = [np.linalg.inv(h[j:, j:]) for j in range(columns)]
    gone = np.zeros(weight.shape, dtype=bool)
    for start in range(0, columns, block):
        end = min(start + block, columns)
        if not width:
            number = round(sparsity * rows * end) - round(sparsity * rows * start)
            scores = [(left[i, j] ** 2 / inverses[j][0, 0], i, j) for i in range(rows) for j in range(start, end)]
            for _, i, j in sorted(scores)[:number]:
                gone[i, j] = True
        for j in range(start, end):
            if width and j % width == 0:
                for i in range(rows):
                    scores = [(left[i, k] ** 2 / inverses[k][0, 0], k) for k in range(j, j + width)]
                    for _, k in sorted(scores)[: width // 2]:
                        gone[i, k] = True
            for i in np.flatnonzero(gone[:, j]):
                left[i, j:] -= left[i, j] / inverses[j][0, 0] * inverses[j][0]
    return np.where(gone, 0.0, left)


@pytest.mark.parametrize(
    ("sparsity", "block", "pattern"),
    [(0.5, 128, "unstructured"), (0.3, 5, "unstructured"), (0.5, 8, "2:4"), (0.5, 16, "4:8"), (0.9, 8, "unstructured")],
)
def test_sparsegpt_is_the_optimal_brain_surgeon(sparsity, block, pattern):
    drawn = np.random.default_rng(3)
    weight = drawn.normal(size=(6, 24)).astype(np.float32)
    x = drawn.normal(size=(40, 24)) @ drawn.normal(size=(24, 24))
    products = (x.T @ x).astype(np.float32)
    width = None if pattern == "unstructured" else int(pattern[-1])
    wanted = slow_sparsegpt(weight, products, sparsity, block, 0.01, width)
    factor = upper_factor(torch.tensor(products), 0.01)
    found = pruned(torch.tensor(weight), factor, sparsity, pattern, block).numpy()
    assert np.array_equal(found == 0, wanted == 0)
    assert (found == 0).sum() == round(sparsity * weight.size)
    assert np.allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "magnitude_layerwise"])
@pytest.mark.parametrize("name", ALL)
def test_two_of_four_on_every_architecture(name, method, about, tmp_path):
    """In each 4 consecutive inputs of every output 2 are zero; what is saved loads again."""
    after = compress(
        method, built(name, 1), about, sparsity=0.5, pattern="2:4", **({} if method.startswith("m") else ITEMS)
    )
    for layer in linear_names(after.model, "encoder"):
        zeros = matrix(after.model.get_submodule(layer)) == 0
        assert (zeros.reshape(len(zeros), -1, 4).sum(2) == 2).all()
    if method == "sparsegpt":
        assert torch.equal(logits(reread(after, tmp_path / "after")), logits(after))


@pytest.mark.parametrize("number", [0, 1, 5, 11, 12])
def test_the_lowest_of_a_row_are_exactly_so_many_and_the_first_of_equal_ones(number):
    scores = torch.randint(0, 4, (50, 12), generator=torch.Generator().manual_seed(1)).float()
    scores[::7] = 0.0
    scores[3, 2:9] = torch.inf
    for row, mask in zip(scores.tolist(), lowest_in_rows(scores, number).tolist(), strict=True):
        wanted = sorted(range(12), key=lambda at: (row[at], at))[:number]
        assert [at for at in range(12) if mask[at]] == sorted(wanted)


@pytest.mark.parametrize("columns", [5, 100, 300])
def test_the_factor_is_that_of_the_inverse(columns):
    x = torch.randn(2 * columns, columns, generator=torch.Generator().manual_seed(1)).double()
    factor = upper_factor(x.t() @ x, 0.01).double()
    damped = x.t() @ x
    damped += 0.01 * damped.diagonal().mean() * torch.eye(columns)
    assert torch.equal(factor, factor.triu())
    assert torch.allclose(
        factor.t() @ factor, torch.linalg.inv(damped), rtol=1e-4, atol=1e-7 * float(factor.max()) ** 2
    )


@pytest.mark.parametrize(("columns", "unit"), [(70, 7), (100, 100), (130, 64), (96, 1)])
def test_inputs_one_by_one_are_those_of_a_loop(columns, unit):
    """Also that the whole unit is up to date when its first input is asked for."""
    generator = torch.Generator().manual_seed(3)
    factor = torch.randn(columns, columns, generator=generator).triu() / 10
    weights, asked = torch.randn(columns, 4, generator=generator), []
    slow = weights.double().clone()

    def errors_of(at):
        if at % unit == 0:
            assert torch.allclose(found[at : at + unit].double(), slow[at : at + unit], rtol=1e-3, atol=1e-4)
        asked.append(at)
        errors = found[at].sin()
        for later in range(at + 1, columns):
            slow[later] -= factor[at, later].double() * slow[at].sin()
        return errors

    found = weights.clone()
    one_by_one(found, factor, errors_of, unit)
    assert asked == list(range(columns))
    assert torch.allclose(found.double(), slow, rtol=1e-3, atol=1e-4)


def test_magnitude_in_groups_by_hand():
    row = torch.tensor([[1.0, -3.0, 2.0, 0.5, 1.0, 1.0, -1.0, 1.0]])
    assert removed(row.abs(), 0.5, "2:4").tolist() == [[True, False, False, True, True, True, False, False]]
    assert removed(row.abs(), 0.5, "4:8").tolist() == [[True, False, False, True, True, True, False, False]]
    with pytest.raises(UserError, match=r"groups of 4 inputs do not divide the 6 inputs"):
        removed(row[:, :6], 0.5, "2:4")


@pytest.mark.parametrize("name", ["bert", "llama", "gpt2"])
def test_outputs_change_less_than_by_magnitude_on_every_layer(name, about):
    """Of the same inputs; later layers are compared on the inputs that each method's own earlier layers give."""
    before = built(name, 0)
    names = linear_names(before.model, "encoder")
    sparse = compress("sparsegpt", copy.deepcopy(before), about, sparsity=0.5, **ITEMS)
    first = blocks(before.model)[0].linears
    inputs = inputs_of(before, about, first)
    for layer in first:
        weight = matrix(before.model.get_submodule(layer))
        products = inputs[layer].t() @ inputs[layer]
        nearest = torch.argsort(weight.abs().flatten(), stable=True)[: weight.numel() // 2]
        smallest = weight.clone().flatten().index_fill(0, nearest, 0.0).view_as(weight)
        own = output_error(matrix(sparse.model.get_submodule(layer)) - weight, products)
        assert 0 < own < output_error(smallest - weight, products), layer
    assert all((matrix(sparse.model.get_submodule(layer)) == 0).double().mean() == 0.5 for layer in names)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_nothing_changes_at_sparsity_0_and_scopes_are_kept(method, about):
    before = built("bert", 3)
    same = compress(method, copy.deepcopy(before), about, sparsity=0.0, **ITEMS)
    assert all(
        torch.equal(one, two) for one, two in zip(same.model.parameters(), before.model.parameters(), strict=True)
    )
    for scope in ("attention", "feed_forward", "all"):
        after = compress(method, copy.deepcopy(before), about, sparsity=0.5, scope=scope, **ITEMS)
        chosen = set(linear_names(before.model, scope))
        for name, value in before.model.named_parameters():
            assert torch.equal(value, after.model.get_parameter(name)) == (name.removesuffix(".weight") not in chosen)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_bfloat16_and_saving(method, folder, about, tmp_path):
    cp = as_stored_in(tiny("bert", folder), "bfloat16")
    after = compress(method, cp, about, sparsity=0.5, **ITEMS)
    assert torch.equal(logits(reread(after, tmp_path / "after")), logits(after))


@cache
def settings_of(method):
    return registry.load("compression", method).Settings


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("wanda", {"sparsity": 1.0}, "less than 1"),
        ("wanda", {"sparsity": 0.6, "pattern": "2:4"}, r"write `sparsity: 0\.5`"),
        ("magnitude_layerwise", {"sparsity": 0.25, "pattern": "4:8"}, r"write `sparsity: 0\.5`"),
        ("sparsegpt", {"sparsity": 0.5, "pattern": "2:4", "block": 6}, "a multiple of 8"),
        ("sparsegpt", {"sparsity": 0.5, "damping": 0.0}, "greater than 0"),
        ("wanda", {"sparsity": 0.5, "calibration_items": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_settings_are_refused(method, settings, message):
    with pytest.raises(ValidationError, match=message):
        settings_of(method)(**settings)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "magnitude_layerwise"])
def test_groups_that_do_not_divide_the_model_are_refused(method):
    module = registry.load("compression", method)
    config = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 42}
    ((setting, reason, _),) = module.misfits(settings_of(method)(sparsity=0.5, pattern="2:4"), config)
    assert setting == "pattern" and reason == "2:4 is in groups of 4 inputs, which do not divide rows of 42"
    assert module.misfits(settings_of(method)(sparsity=0.5, pattern="2:4"), config | {"intermediate_size": 44}) == []
    assert module.misfits(settings_of(method)(sparsity=0.4), config) == []
