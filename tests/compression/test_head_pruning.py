"""Attention head pruning: importances against finite differences, removal against zeroed columns of the dense model."""

import copy

import numpy as np
import pytest
import torch
from compression_case import compress, context, logits, reread, task, tiny
from pydantic import ValidationError

from fairshrink import registry
from fairshrink.compression._shared.heads import layer_normalized, number_of, without_least
from fairshrink.compression.structured.head_pruning import development_score as judging
from fairshrink.compression.structured.head_pruning.gates import gated, importance
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.stored_forms import removed_heads as structure

CASES = [("bert", "classification"), ("bert", "regression"), ("llama", "causal_lm")]


def all_alive(cp):
    return [np.ones(block.kv_heads, dtype=bool) for block in blocks(cp.model)]


def scaled(cp, layer, unit, factor):
    """The model whose output projection reads this unit's columns times a factor: a head mask without a hook."""
    changed = copy.deepcopy(cp)
    block = blocks(changed.model)[layer]
    width = block.head_dim * block.n_heads // block.kv_heads
    with torch.no_grad():
        changed.model.get_submodule(block.output).weight[:, unit * width : (unit + 1) * width] *= factor
    return changed


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_importance_is_the_mean_absolute_gradient_of_each_examples_loss(name, kind, tmp_path):
    cp = tiny(name, tmp_path, kind)
    cp.model.double()
    about = task(tmp_path, kind)
    frame = frames(about)["train"].head(4)
    module = registry.load("tasks", kind)
    found = importance(cp, module.loss(cp, frame, about.settings), all_alive(cp), seed=0)
    lengths = np.array(module.loss(cp, frame, about.settings).lengths)
    tokens = lengths - 1 if kind == "causal_lm" else np.ones(4)
    for layer, values in enumerate(found):
        for unit, value in enumerate(values):
            up, down = (
                module.loss(scaled(cp, layer, unit, 1 + side * 1e-2), frame, about.settings) for side in (1, -1)
            )
            slopes = np.array([(up([row]) - down([row])).item() / 2e-2 for row in range(4)])
            assert value == pytest.approx(np.mean(np.abs(slopes) * tokens / tokens.mean()), rel=0.02, abs=1e-4)
    assert min(map(np.ptp, found)) > 1e-3  # heads do differ


def test_importance_does_not_depend_on_batches(tmp_path, monkeypatch):
    cp, about = tiny("bert", tmp_path, "classification"), task(tmp_path, "classification")
    loss = registry.load("tasks", "classification").loss(cp, frames(about)["train"], about.settings)
    together = importance(cp, loss, all_alive(cp), seed=0)
    monkeypatch.setattr("fairshrink.compression.structured.head_pruning.gates.TOKENS_PER_BATCH", 1)
    for one, other in zip(together, importance(cp, loss, all_alive(cp), seed=0), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_importance_does_not_change_the_model(tmp_path):
    cp, about = tiny("bert", tmp_path, "classification"), task(tmp_path, "classification")
    before = logits(cp)
    next(cp.model.parameters()).requires_grad_(False)
    learned = [parameter.requires_grad for parameter in cp.model.parameters()]
    loss = registry.load("tasks", "classification").loss(cp, frames(about)["train"], about.settings)
    importance(cp, loss, all_alive(cp), seed=0)
    assert torch.equal(logits(cp), before)
    assert [parameter.requires_grad for parameter in cp.model.parameters()] == learned
    assert all(parameter.grad is None for parameter in cp.model.parameters())


@pytest.mark.parametrize("name", ["bert", "roberta", "llama"])
def test_a_removed_head_equals_one_with_zeroed_columns(name, tmp_path):
    cp = tiny(name, tmp_path)
    gone = [(0, 1), (1, 0)] + ([(1, 3), (1, 2)] if name != "llama" else [])
    zeroed = cp
    for layer, unit in gone:
        zeroed = scaled(zeroed, layer, unit, 0.0)
    gates = [torch.ones(len(each)) for each in all_alive(cp)]
    for layer, unit in gone:
        gates[layer][unit] = 0
    with gated(cp.model, gates):
        behind_gates = logits(cp)
    kept = {str(i): np.flatnonzero(gate.numpy()).tolist() for i, gate in enumerate(gates)}
    original = logits(cp)
    structure.apply(cp.model, kept)
    torch.testing.assert_close(logits(cp), logits(zeroed), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(behind_gates, logits(zeroed), rtol=1e-4, atol=1e-5)
    assert (logits(cp) - original).abs().max() > 0.01


@pytest.mark.parametrize(
    ("name", "kind", "shapes"),
    [
        ("bert", "classification", {"query": 8, "key": 8, "value": 8, "output": 8}),
        ("llama", "causal_lm", {"query": 16, "key": 8, "value": 8, "output": 16}),
    ],
)
def test_removed_heads_are_not_in_the_file(name, kind, shapes, tmp_path):
    cp = tiny(name, tmp_path, kind)
    units = len(all_alive(cp)[0])
    after = reread(compress("head_pruning", cp, context(task(tmp_path, kind)), sparsity=0.5), tmp_path / "after")
    sizes = [block.kv_heads for block in blocks(after.model)]
    assert sum(sizes) == units and min(sizes) >= 1
    assert (
        sum(map(len, after.structure["removed_heads"].values())) + units * (2 - len(after.structure["removed_heads"]))
        == units
    )
    for block, left in zip(blocks(after.model), sizes, strict=True):
        for part, per_unit in shapes.items():
            weight = after.model.get_submodule(getattr(block, part)).weight
            assert weight.shape == ((32, left * per_unit) if part == "output" else (left * per_unit, 32))


def test_the_least_important_heads_are_removed(tmp_path):
    cp, about = tiny("bert", tmp_path, "classification"), task(tmp_path, "classification")
    loss = registry.load("tasks", "classification").loss(cp, frames(about)["train"], about.settings)
    for settings, change in (({"layer_normalized": False}, lambda x: x), ({}, layer_normalized)):
        scores = np.stack(change(importance(cp, loss, all_alive(cp), seed=5)))
        gone = scores.ravel().argsort()[:3]
        kept = [[u for u in range(4) if 4 * layer + u not in gone] for layer in range(2)]
        after = compress("head_pruning", copy.deepcopy(cp), context(about), sparsity=3 / 8, **settings)
        assert [after.structure["removed_heads"].get(str(i), [0, 1, 2, 3]) for i in range(2)] == kept


def test_choice_by_hand():
    scores = [np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0]), np.array([2.0, 9.0])]
    alive = [np.ones(3, bool), np.ones(2, bool), np.array([True, False])]
    # In order 1, 2 (first layer), 2 (the last of the third layer: stays), 3 (now the last of the first: stays), 4.
    left = without_least(scores, alive, 3)
    assert [each.tolist() for each in left] == [[False, False, True], [False, True], [True, False]]
    assert alive[0].all()
    assert number_of(3 / 7, alive) == 3
    with pytest.raises(UserError, match=r"up to 0\.428"):  # 3 of 7
        number_of(4 / 7, alive)


def test_normalizing_by_hand():
    assert [each.tolist() for each in layer_normalized([np.array([3.0, 4.0]), np.zeros(2)])] == [[0.6, 0.8], [0.0, 0.0]]


def test_too_many_heads_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"sparsity` up to 0\.75"):
        compress("head_pruning", tiny("bert", tmp_path), context(task(tmp_path, "classification")), sparsity=0.9)


def test_heads_are_removed_while_the_score_is_high_enough(tmp_path, monkeypatch):
    """Scores by the number of heads left: 8 → 1.0, 6 → 0.95, 4 → 0.9, 2 → 0.89: with 0.9, four stay."""
    cp, seen = tiny("bert", tmp_path, "classification"), []

    def judge(cp, frame, about):
        ids = torch.randint(5, 50, (1, 6), generator=torch.Generator().manual_seed(0))
        widths = []
        handles = [
            cp.model.get_submodule(block.output).register_forward_pre_hook(
                lambda module, inputs: widths.append(inputs[0].reshape(-1, 4, 8).abs().sum((0, 2)) > 0)
            )
            for block in blocks(cp.model)
        ]
        cp.model(input_ids=ids)
        for handle in handles:
            handle.remove()
        seen.append(int(torch.stack(widths).sum()))
        return {8: 1.0, 6: 0.95, 4: 0.9, 2: 0.89}[seen[-1]]

    monkeypatch.setattr(judging, "dev_score", judge)
    after = compress("head_pruning", cp, context(task(tmp_path, "classification")), keep_score=0.9, step=0.25)
    assert seen == [8, 6, 4, 2]
    assert sum(block.n_heads for block in blocks(after.model)) == 4


def test_nothing_is_removed_if_the_first_step_is_too_much(tmp_path, monkeypatch):
    scores = iter([1.0, 0.5])
    monkeypatch.setattr(judging, "dev_score", lambda *_: next(scores))
    cp = tiny("bert", tmp_path, "classification")
    before = logits(cp)
    after = compress("head_pruning", cp, context(task(tmp_path, "classification")), keep_score=0.9)
    assert after.structure == {} and torch.equal(logits(after), before)


def test_each_layer_keeps_a_head_however_good_the_score(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "dev_score", lambda *_: 1.0)
    about = context(task(tmp_path, "classification"))
    after = compress("head_pruning", tiny("bert", tmp_path, "classification"), about, keep_score=0.5, step=0.7)
    assert [block.n_heads for block in blocks(after.model)] == [1, 1]


def test_a_baseline_without_performance_is_rejected(tmp_path, monkeypatch):
    for worthless in (0.0, -0.2, float("nan")):
        monkeypatch.setattr(judging, "dev_score", lambda *_, value=worthless: value)
        with pytest.raises(UserError, match="development score"):
            compress("head_pruning", tiny("bert", tmp_path), context(task(tmp_path, "classification")), keep_score=0.9)


def test_without_development_examples_keep_score_is_refused(tmp_path):
    about = task(tmp_path, "classification", dev_share=0.0)
    with pytest.raises(UserError, match=r"a_classification\.dev_share"):
        compress("head_pruning", tiny("bert", tmp_path), context(about), keep_score=0.9)


def test_removing_twice_is_recorded_in_the_original_numbers(tmp_path):
    cp = tiny("bert", tmp_path, "classification")
    about = context(task(tmp_path, "classification"))
    twice = compress("head_pruning", compress("head_pruning", cp, about, sparsity=0.4), about, sparsity=0.4)
    assert sum(block.n_heads for block in blocks(twice.model)) == 3  # 8 - 3 - 2
    assert torch.equal(logits(reread(twice, tmp_path / "twice")), logits(twice))
    dense = tiny("bert", tmp_path, "classification")
    for layer, kept in twice.structure["removed_heads"].items():
        for unit in set(range(4)) - set(kept):
            dense = scaled(dense, int(layer), unit, 0.0)
    torch.testing.assert_close(logits(twice), logits(dense), rtol=1e-4, atol=1e-5)


def test_heads_cannot_be_cut_from_quantized_layers(tmp_path):
    cp = compress("int8_weight_only", tiny("bert", tmp_path, "classification"))
    with pytest.raises(UserError, match="Int8Linear"):
        compress("head_pruning", cp, context(task(tmp_path, "classification")), sparsity=0.5)


@pytest.mark.parametrize("settings", [{}, {"sparsity": 0.5, "keep_score": 0.9}])
def test_exactly_one_criterion(settings):
    with pytest.raises(ValidationError, match="exactly one"):
        registry.load("compression", "head_pruning").Settings(**settings)


def test_development_scores_by_hand():
    import pandas as pd

    about = type("Task", (), {"name": "x", "kind": "y"})
    labels = pd.DataFrame({"predicted": list("aabb"), "label": list("aaab")})
    assert judging.summary(labels, about) == 0.75
    numbers = pd.DataFrame({"prediction": [1.0, 2.0, 3.0], "label": [2.0, 4.0, 6.5]})
    assert judging.summary(numbers, about) == pytest.approx(np.corrcoef([1, 2, 3], [2, 4, 6.5])[0, 1])
    assert judging.summary(numbers.assign(prediction=1.0), about) == 0.0
    language = pd.DataFrame({"nll": [np.log(4), 2 * np.log(4)], "tokens": [1, 2]})
    assert judging.summary(language, about) == pytest.approx(0.25)
    with pytest.raises(UserError, match=r"tasks\.x"):
        judging.summary(pd.DataFrame({"other": [1]}), about)
