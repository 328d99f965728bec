"""Products of two matrices against numpy's decompositions, on every architecture, and their size."""

import copy

import numpy as np
import pytest
import torch
from compression_case import compress, context, logits, reread, task, tensor_bytes, tiny
from every_architecture import ALL, built

from fairshrink.compression._shared.calibration import calibration_texts, walk
from fairshrink.compression._shared.moments import output_error
from fairshrink.compression.low_rank._shared.decomposing import decomposed, root_of
from fairshrink.compression.low_rank.activation_svd import Settings as Calibrated
from fairshrink.compression.low_rank.fisher_svd.information import row_weights
from fairshrink.compression.low_rank.svd import Settings
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.ledger import ledger, measure
from fairshrink.models.stored_forms.factors import FactoredLinear

METHODS = ("svd", "activation_svd", "fisher_svd")


def nearest(weights: np.ndarray, rank: int) -> np.ndarray:
    """The nearest matrix of a rank, in float64."""
    left, singular, right = np.linalg.svd(weights.astype(float), full_matrices=False)
    return (left[:, :rank] * singular[:rank]) @ right[:rank]


@pytest.fixture(scope="module")
def weights():
    return torch.randn(20, 12, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", ALL)
def test_outputs_are_those_of_a_dense_model_with_the_nearest_matrices(name, tmp_path):
    """Fused and transposed matrices too; the same again after saving and loading."""
    cp = built(name, 1)
    dense = copy.deepcopy(cp)
    for layer in linear_names(dense.model, "encoder"):
        values = matrix(dense.model.get_submodule(layer))
        outputs, inputs = values.shape
        rank = int(0.6 * outputs * inputs / (outputs + inputs))
        values.copy_(torch.from_numpy(nearest(values.numpy(), rank)))
    after = compress("svd", cp, parameters_kept=0.6)
    assert not linear_names(after.model, "encoder")
    torch.testing.assert_close(logits(after), logits(dense), rtol=2e-3, atol=1e-3)
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))


def test_weighted_products_are_the_nearest_for_the_weighting(weights):
    """By the definition: the error against that of the outputs' own nearest matrix of this rank."""
    inputs = torch.randn(300, 12, generator=torch.Generator().manual_seed(4)) @ torch.diag(torch.linspace(0.1, 3, 12))
    root = root_of(inputs.t() @ inputs, 1e-9)
    expand, reduce = decomposed(weights, 5, root)
    mine = float(((weights - expand @ reduce) @ inputs.t()).square().sum())
    outputs = inputs.double().numpy() @ weights.double().numpy().T
    assert mine == pytest.approx(((outputs - nearest(outputs, 5)) ** 2).sum(), rel=1e-4)
    plain = decomposed(weights, 5)
    assert mine < float(((weights - plain[0] @ plain[1]) @ inputs.t()).square().sum()) * 0.8


def test_diagonal_weights_by_hand():
    """Of two columns of equal size the heavier one is kept, at rank 1."""
    expand, reduce = decomposed(torch.eye(2), 1, torch.tensor([1.0, 10.0]))
    torch.testing.assert_close(expand @ reduce, torch.tensor([[0.0, 0.0], [0.0, 1.0]]), rtol=0, atol=1e-6)
    expand, reduce = decomposed(torch.eye(2), 1, torch.tensor([10.0, 1.0]))
    torch.testing.assert_close(expand @ reduce, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), [("bert", "classification"), ("llama", "causal_lm")])
def test_activation_weights_lower_the_error_of_every_layer(name, kind, tmp_path):
    """Each layer's output error on the calibration texts is below that of the plain decomposition of the same rank."""
    about, settings = context(task(tmp_path, kind)), Calibrated(parameters_kept=0.5, damping=1e-6)
    cp, dense = tiny(name, tmp_path), tiny(name, tmp_path)
    texts = calibration_texts(dense, settings, about, "activation_svd")
    names = linear_names(dense.model, "encoder")
    found = {each.name: each for stage in walk(dense, texts, names, {"products"}) for each in stage}
    first = names[: len(names) // 2]  # of the first block: their inputs are those of the dense model
    after = compress("activation_svd", cp, about, parameters_kept=0.5, damping=1e-6)
    for layer in first:
        values, products = matrix(found[layer].layer), found[layer].inputs["products"]
        rank = after.structure["factors"][layer]
        plain = torch.from_numpy(nearest(values.numpy(), rank)) - values
        mine = after.model.get_submodule(layer).decode().detach() - values
        assert output_error(mine, products) < output_error(plain, products)


@pytest.mark.parametrize(("name", "kind"), [("bert", "classification"), ("llama", "causal_lm")])
def test_fisher_weights_are_squared_gradients_of_single_examples(name, kind, tmp_path):
    cp, about = tiny(name, tmp_path), task(tmp_path, kind)
    frame = frames(about)["train"].head(3)
    names = linear_names(cp.model, "feed_forward")[:2]
    found = row_weights(cp, about, frame, names, seed=0)
    for layer in names:
        weight = cp.model.get_submodule(layer).weight
        squares = torch.zeros(weight.shape[1], dtype=torch.float64)
        for row in range(3):
            cp.model.zero_grad()
            about.module.loss(cp, frame.iloc[[row]], about.settings)([0], row).backward()
            for column in range(weight.shape[1]):
                squares[column] += (weight.grad[:, column].double() ** 2).sum()
        root = (squares / 3).sqrt()
        torch.testing.assert_close(found[layer], root + 1e-3 * root.mean(), rtol=1e-4, atol=1e-12)
        cp.model.zero_grad()


@pytest.mark.parametrize("method", METHODS)
def test_size_and_cost_follow_the_rank(method, tmp_path):
    about = context(task(tmp_path, "classification"))
    before, after = tiny("bert", tmp_path), compress(method, tiny("bert", tmp_path), about, rank=4)
    layers = [module for module in after.model.modules() if isinstance(module, FactoredLinear)]
    assert len(layers) == 12 == len(after.structure["factors"])
    factors = 2 * (4 * 4 * (32 + 32) + 2 * 4 * (32 + 48))
    counted = ledger(after, before)
    assert counted["prunable_params"] == factors
    assert counted["flops_per_token"] == 2 * factors
    assert counted["effective_bits"] == pytest.approx(32 * factors / ledger(before, before)["prunable_params"])
    again = reread(after, tmp_path / "after")
    assert torch.equal(logits(again), logits(after))
    assert measure(after, after)["disk_bytes"] == tensor_bytes(tmp_path / "after")
    repeated = compress(method, tiny("bert", tmp_path), about, rank=4)
    assert torch.equal(logits(repeated), logits(after))


@pytest.mark.parametrize("method", METHODS)
def test_all_parameters_kept_change_nothing(method, tmp_path):
    before, about = tiny("bert", tmp_path), context(task(tmp_path, "classification"))
    after = compress(method, tiny("bert", tmp_path), about, parameters_kept=1.0)
    assert after.structure == {}
    assert torch.equal(logits(after), logits(before))


def test_the_full_rank_of_a_decomposition_is_the_matrix(weights):
    for root in (None, torch.linspace(0.5, 2, 12), root_of(weights.t() @ weights, 0.01)):
        expand, reduce = decomposed(weights, 12, root)
        torch.testing.assert_close(expand @ reduce, weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 30), (30, 9), (16, 16)])
@pytest.mark.parametrize("smallest", [1e-1, 1e-3, 1e-7, 0.0])
def test_products_are_the_nearest_of_any_shape_and_condition(shape, smallest):
    """Singular values fall from 1 to ``smallest``; all ranks, the whole one too."""
    drawn = np.random.default_rng(4)
    left, right = (np.linalg.qr(drawn.normal(size=(n, min(shape))))[0] for n in shape)
    values = (left * np.linspace(1, smallest, min(shape)) ** 2) @ right.T
    for rank in range(1, min(shape) + 1):
        expand, reduce = decomposed(torch.from_numpy(values).float(), rank)
        assert expand.shape == (shape[0], rank) and reduce.shape == (rank, shape[1])
        np.testing.assert_allclose(expand @ reduce, nearest(values.astype(np.float32), rank), rtol=0, atol=1e-6)
        # The two share the singular values evenly.
        np.testing.assert_allclose(expand.t() @ expand, reduce @ reduce.t(), rtol=0, atol=1e-5)


def test_ranks_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(UserError, match="has no rank of 33"):
        compress("svd", tiny("bert", tmp_path), rank=33)
    for settings in ({}, {"rank": 3, "parameters_kept": 0.5}, {"rank": 0}, {"parameters_kept": 0.0}):
        with pytest.raises(ValueError, match=r"rank|parameters_kept"):
            Settings(**settings)
    cp = compress("svd", tiny("bert", tmp_path), rank=4)
    with pytest.raises(UserError, match="no dense linear layer"):
        compress("svd", cp, rank=2)
