"""Codebooks against k-means one number at a time; blocks and embeddings that share parameters, stored once."""

import copy

import numpy as np
import pytest
import torch
from compression_case import compress, logits, reread, tensor_bytes, tensors_in, tiny
from every_architecture import ALL, built

from fairshrink.compression.weight_sharing import embedding_tying, layer_tying
from fairshrink.compression.weight_sharing.kmeans.clustering import codebook, nearest
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, linear_names
from fairshrink.models.ledger import ledger, measure
from fairshrink.models.stored_forms._shared.coded import TiedLinear, word_embeddings
from fairshrink.models.stored_forms.codebook import bits_of


def lloyd(values: list[float], clusters: int) -> list[float]:
    """k-means by its definition: every number to its nearest center, every center to its numbers' mean, and again."""
    centers = [min(values) + (max(values) - min(values)) * i / (clusters - 1) for i in range(clusters)]
    while True:
        mine = [[] for _ in centers]
        for value in values:
            mine[min(range(clusters), key=lambda j: abs(value - centers[j]))].append(value)
        moved = [sum(each) / len(each) if each else center for each, center in zip(mine, centers, strict=True)]
        if moved == centers:
            return centers
        centers = moved


@pytest.fixture(scope="module")
def numbers():
    return torch.randn(30, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float32) ** 3


@pytest.mark.parametrize("clusters", [2, 5, 16])
def test_codebooks_are_those_of_slow_k_means(clusters, numbers):
    wanted = sorted(lloyd(numbers.flatten().double().tolist(), clusters))
    found = codebook(numbers, clusters)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    index = nearest(numbers, found)
    assert index.shape == numbers.shape
    for value, mine in zip(numbers.flatten().tolist(), index.flatten().tolist(), strict=True):
        assert abs(value - found[mine]) <= min(abs(value - each) for each in found) + 1e-6


def test_k_means_by_hand():
    """0 and 10 are the start; 4 is nearer to 0, and the means are 2 and 9."""
    assert codebook(torch.tensor([0.0, 2.0, 4.0, 8.0, 10.0]), 2).tolist() == [2.0, 9.0]


def test_as_many_values_as_there_are_change_nothing():
    values = torch.tensor([[3.0, -1.0, 3.0], [0.5, 0.5, -1.0]])
    for clusters in (3, 8):
        book = codebook(values, clusters)
        assert book.tolist() == [-1.0, 0.5, 3.0]
        assert torch.equal(book[nearest(values, book)], values)


def test_pruned_weights_stay_zero(numbers):
    pruned = numbers.masked_fill(numbers.abs() < numbers.abs().median(), 0.0)
    book = codebook(pruned, 8)
    found = book[nearest(pruned, book)]
    assert len(book) <= 8 and (found[pruned == 0] == 0).all()
    assert not codebook(numbers, 8).eq(0).any()


def test_broken_weights_stay_visible(numbers):
    assert codebook(numbers.where(numbers < 1, float("nan")), 4).isnan().all()


@pytest.mark.parametrize("name", ALL)
def test_outputs_are_those_of_a_dense_model_with_shared_values(name, tmp_path):
    cp = built(name, 2)
    dense = copy.deepcopy(cp)
    names = linear_names(dense.model, "all")
    for weight in [
        *(dense.model.get_submodule(each).weight for each in names),
        dense.model.get_input_embeddings().weight,
    ]:
        book = np.array(sorted(set(codebook(weight.detach(), 6).tolist())))
        distance = np.abs(weight.detach().numpy()[..., None] - book)
        weight.data.copy_(torch.from_numpy(book[distance.argmin(-1)]))
    after = compress("kmeans", cp, clusters=6, scope="all", embeddings=True)
    torch.testing.assert_close(logits(after), logits(dense), rtol=1e-3, atol=2e-4)
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))


@pytest.mark.parametrize("clusters", [2, 3, 16, 20, 256])
def test_bytes_on_disk_are_indices_and_codebooks(clusters, tmp_path):
    cp = tiny("llama", tmp_path)
    names = [*linear_names(cp.model, "encoder"), word_embeddings(cp.model)]
    after = compress("kmeans", tiny("llama", tmp_path), clusters=clusters, embeddings=True)
    reread(after, tmp_path / "after")
    stored = tensors_in(tmp_path / "after")
    bits = {2: 1, 3: 2, 16: 4, 20: 5, 256: 8}[clusters]
    assert bits_of(clusters) == bits
    for name in names:
        weight = cp.model.get_submodule(name).weight
        assert stored[f"{name}.codes"].nbytes * 8 == weight.numel() * bits  # rows of 32 and 48 need no padding
        assert stored[f"{name}.codebook"].nbytes <= 4 * clusters
    assert bits <= ledger(after, cp)["effective_bits"] < bits + 8 * 1.5
    assert ledger(after, cp)["params"] == ledger(cp, cp)["params"]


@pytest.mark.parametrize("name", [name for name in ALL if name != "albert"])
@pytest.mark.parametrize(("order", "start"), [("sequence", "mean"), ("cycle", "first")])
def test_tied_blocks_compute_with_the_same_weights(name, order, start, tmp_path):
    cp = built(name, 3)
    dense, every = copy.deepcopy(cp), blocks(cp.model)
    for names in zip(*(block.linears for block in every), strict=True):
        layers = [dense.model.get_submodule(each) for each in names]
        for part in dict(layers[0].named_parameters()):
            values = [each.get_parameter(part).data for each in layers]
            shared = sum(values) / len(values) if start == "mean" else values[0]
            for each in layers:
                each.get_parameter(part).data = shared.clone()
    before = ledger(dense, dense)
    after = compress("layer_tying", cp, share=2, order=order, start=start)
    torch.testing.assert_close(logits(after), logits(dense), rtol=1e-4, atol=1e-5)
    again = reread(after, tmp_path / "after")
    assert torch.equal(logits(again), logits(after))
    counted = ledger(after, dense)
    assert counted["prunable_params"] * 2 == before["prunable_params"]
    assert counted["flops_per_token"] == before["flops_per_token"]
    assert measure(again, again)["disk_bytes"] == tensor_bytes(tmp_path / "after")


@pytest.mark.parametrize("orders", [("sequence", {1: 0, 3: 2}), ("cycle", {2: 0, 3: 1})])
def test_which_blocks_are_tied(orders, tmp_path):
    order, pairs = orders
    cp = compress("layer_tying", tiny("bert", tmp_path, num_hidden_layers=4), share=2, order=order)
    found = {int(a.split(".")[3]): int(b.split(".")[3]) for a, b in cp.structure["tied_layers"].items()}
    assert found == pairs
    with torch.no_grad():
        for parameter in cp.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(logits(reread(cp, tmp_path / "after")), logits(cp))  # trained afterwards, they stay tied


def test_tied_blocks_are_packed_once(tmp_path):
    cp = compress("layer_tying", tiny("bert", tmp_path))
    after = compress("int4_weight_only", cp, group=16)
    assert sum(isinstance(each, TiedLinear) for each in after.model.modules()) == 6 == len(after.structure["packed"])
    assert torch.equal(logits(reread(after, tmp_path / "after")), logits(after))


def test_one_block_for_itself_changes_nothing(tmp_path):
    before = tiny("bert", tmp_path)
    after = compress("layer_tying", tiny("bert", tmp_path), share=1)
    assert after.structure == {} and torch.equal(logits(after), logits(before))


@pytest.mark.parametrize("keep", ["input", "output", "mean"])
def test_embeddings_are_tied(keep, tmp_path):
    """The model is one that plain transformers has, with the same matrix twice."""
    before = tiny("llama", tmp_path, tie_word_embeddings=False)
    cp = tiny("llama", tmp_path, tie_word_embeddings=False)
    inputs, outputs = (each.weight.detach() for each in (before.model.model.embed_tokens, before.model.lm_head))
    assert not torch.equal(inputs, outputs)
    shared = {"input": inputs, "output": outputs, "mean": (inputs + outputs) / 2}[keep].clone()
    inputs.copy_(shared)
    outputs.copy_(shared)
    after = compress("embedding_tying", cp, keep=keep)
    torch.testing.assert_close(logits(after), logits(before), rtol=1e-5, atol=1e-6)
    again = reread(after, tmp_path / "after")
    assert torch.equal(logits(again), logits(after))
    assert ledger(before, before)["params"] - ledger(again, before)["params"] == inputs.numel()


def test_what_cannot_be_shared_is_refused(tmp_path):
    with pytest.raises(UserError, match="2 blocks cannot be shared by 3"):
        compress("layer_tying", tiny("bert", tmp_path), share=3)
    with pytest.raises(UserError, match="not dense, or tied already"):
        compress("layer_tying", compress("layer_tying", tiny("bert", tmp_path)))
    with pytest.raises(UserError, match="tied to the embeddings already"):
        compress("embedding_tying", tiny("llama", tmp_path))
    with pytest.raises(UserError, match="no output layer for words"):
        compress("embedding_tying", tiny("bert", tmp_path))
    with pytest.raises(UserError, match="no dense linear layer"):
        compress("kmeans", compress("kmeans", tiny("bert", tmp_path), clusters=4), clusters=4)
    settings = layer_tying.Settings(share=4)
    assert layer_tying.misfits(settings, {"num_hidden_layers": 6})[0][0] == "share"
    assert layer_tying.misfits(settings, {"n_layer": 8}) == []
    assert embedding_tying.misfits(embedding_tying.Settings(), {"tie_word_embeddings": True})[0][0] == "models"
