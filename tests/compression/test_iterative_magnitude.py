"""Iterative magnitude pruning against a slow run of the published algorithm with the task's own training."""

import copy

import numpy as np
import pytest
import torch
from compression_case import compress, context, task, tiny

from fairshrink import registry
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names

EPOCHS = {"epochs": 3, "learning_rate": 1e-2, "batch_size": 8}


def state(cp):
    return {name: value.clone() for name, value in cp.model.state_dict().items()}


def trained(cp, about, **steps):
    module = registry.load("tasks", about.kind)
    module.train(cp, frames(about), about.settings, about.seed, lambda line: None, **steps)
    return cp


def start(folder):
    return tiny("bert", folder, "classification")


def run(folder, about, **settings):
    """The result and what was seen in each round: (round, state after the reset, masks)."""
    seen = []
    baseline = trained(start(folder), about)
    after = compress(
        "iterative_magnitude",
        baseline,
        context(about, source=lambda: start(folder), on_round=lambda n, cp, masks: seen.append((n, state(cp), masks))),
        **settings,
    )
    return baseline, after, seen


@pytest.mark.parametrize("rewind_step", [0, 2])
def test_remaining_weights_are_the_rewound_ones_bit_for_bit(rewind_step, tmp_path):
    about = task(tmp_path, "classification", **EPOCHS)
    early = start(tmp_path)
    if rewind_step:
        trained(early, about, stop_step=rewind_step)
    early = state(early)
    _, after, seen = run(tmp_path, about, sparsity=0.9, rounds=3, rewind_step=rewind_step)
    assert [n for n, _, _ in seen] == [1, 2, 3]
    for _, weights, masks in seen:
        assert weights.keys() == early.keys()
        for name, value in weights.items():
            wanted = early[name] * masks[name] if name in masks else early[name]
            assert torch.equal(value, wanted), name
    final = state(after)
    assert all((final[name][~mask] == 0).all() for name, mask in seen[-1][2].items())
    moved = [not torch.equal(final[name], seen[-1][1][name]) for name in final]
    assert all(moved)  # it ends with training


def test_each_round_equals_that_of_a_slow_run(tmp_path):
    about = task(tmp_path, "classification", **EPOCHS)
    _, after, seen = run(tmp_path, about, sparsity=0.875, rounds=3)
    names = [f"{name}.weight" for name in linear_names(start(tmp_path).model, "encoder")]
    first, cp = state(start(tmp_path)), trained(start(tmp_path), about)
    gone = None
    for turn, share in enumerate((0.5, 0.75, 0.875)):
        flat = np.concatenate([state(cp)[name].numpy().ravel() for name in names])
        order = np.argsort(np.abs(flat), kind="stable")
        before, gone = gone, np.zeros(len(flat), dtype=bool)
        gone[order[: round(share * len(flat))]] = True
        assert before is None or gone[before].all()
        masks = seen[turn][2]
        assert np.array_equal(np.concatenate([~masks[name].numpy().ravel() for name in names]), gone)
        cp.model.load_state_dict(first)
        trained(cp, about, masks={name: masks[name] for name in names})
    assert all(torch.equal(value, state(after)[name]) for name, value in state(cp).items())


def test_magnitudes_come_from_trained_weights(tmp_path):
    """With a high learning rate the smallest weights before and after training differ."""
    about = task(tmp_path, "classification", **EPOCHS)
    _, _, seen = run(tmp_path, about, sparsity=0.5, rounds=1)
    name = "bert.encoder.layer.0.attention.self.query.weight"
    threshold = seen[0][1][name].abs()[seen[0][2][name]].min()
    assert (state(start(tmp_path))[name].abs()[~seen[0][2][name]] > threshold).any()


def test_the_schedule_removes_the_same_share_of_the_rest_each_time():
    schedule = registry.load("compression", "iterative_magnitude").schedule
    assert schedule(0.875, 3) == pytest.approx([0.5, 0.75, 0.875])
    for sparsity in (0.0, 0.3, 0.95):
        steps = schedule(sparsity, 7)
        assert steps[-1] == sparsity and len(steps) == 7
        left = 1 - np.array([0.0, *steps])
        np.testing.assert_allclose(left[1:] / left[:-1], (1 - sparsity) ** (1 / 7))
    assert schedule(0.4, 1) == [0.4]


def test_the_count_is_exact_and_the_baseline_is_not_changed(tmp_path):
    about = task(tmp_path, "classification", **EPOCHS)
    before = state(trained(start(tmp_path), about))
    baseline, after, _ = run(tmp_path, about, sparsity=0.333, rounds=2, scope="attention")
    assert all(torch.equal(value, before[name]) for name, value in state(baseline).items())
    weights = [after.model.get_submodule(name).weight for name in linear_names(after.model, "attention")]
    assert sum(int((w == 0).sum()) for w in weights) == round(0.333 * sum(w.numel() for w in weights))
    assert not (after.model.get_submodule("bert.encoder.layer.0.output.dense").weight == 0).any()


def test_removed_weights_stay_removed_although_others_are_zero(tmp_path):
    """A remaining weight that is zero by chance must not count as removed in place of one that was."""
    from fairshrink.compression.unstructured.iterative_magnitude.rewinding import PrunedTraining

    cp, about = start(tmp_path), task(tmp_path, "classification")
    training = PrunedTraining(cp, registry.load("tasks", "classification"), about, 0, lambda line: None)
    masks = training.full_masks("attention")
    first, *_, last = masks
    with torch.no_grad():
        cp.model.get_parameter(first)[0] = 0.0
        cp.model.get_parameter(last).zero_()
    masks[last][:] = False
    size = sum(mask.numel() for mask in masks.values())
    again = training.prune(masks, masks[last].numel() / size)
    assert all(torch.equal(again[name], masks[name]) for name in masks)


def test_rewinding_beyond_the_training_is_refused(tmp_path):
    about = task(tmp_path, "classification", batch_size=16)
    with pytest.raises(UserError, match=r"rewind_step.*2 steps"):
        run(tmp_path, about, sparsity=0.5, rewind_step=3)


def test_a_compressed_baseline_is_refused(tmp_path):
    about = task(tmp_path, "classification")
    cp = compress("int8_dynamic", start(tmp_path))
    with pytest.raises(UserError, match="uncompressed"):
        compress("iterative_magnitude", cp, context(about, source=lambda: copy.deepcopy(cp)), sparsity=0.5)
