from __future__ import annotations

import copy
import hashlib

import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.tasks import classification, masked_lm, regression
from fairshrink.training import fit

FRAME = pd.DataFrame(
    {
        "text": [text for text in tiny.SENTENCES for _ in range(3)],
        "label": np.linspace(-2, 2, 3 * len(tiny.SENTENCES)),
    }
)


def settings(**more):
    return regression.Settings(**{"batch_size": 8, "epochs": 2, "learning_rate": 1e-3, "max_length": 32, **more})


def fresh(folder, head="regression", make=tiny.tiny_bert):
    return checkpoints.load(folder if (folder / "config.json").exists() else make(head, folder))


def digest(cp, folder):
    checkpoints.save(cp, folder)
    files = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()


def quiet(message):
    pass


def without_dropout(cp):
    for module in cp.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return cp


def test_plan_has_each_row_once_per_epoch_in_batches_of_similar_length():
    lengths = np.random.default_rng(0).integers(3, 60, size=505).tolist()
    steps = fit.plan(lengths, settings(epochs=3), seed=4)
    per_epoch = len(steps) // 3
    assert per_epoch == -(-505 // 8)
    epochs = [steps[i * per_epoch : (i + 1) * per_epoch] for i in range(3)]
    for epoch in epochs:
        assert sorted(row for batch in epoch for row in batch) == list(range(505))
        spread = [max(lengths[r] for r in batch) - min(lengths[r] for r in batch) for batch in epoch]
        assert np.mean(spread) < 6  # drawn at random it is about 44
        means = [np.mean([lengths[r] for r in batch]) for batch in epoch]
        assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5  # not from short to long
    assert epochs[0] != epochs[1]
    assert steps == fit.plan(lengths, settings(epochs=3), seed=4)
    assert steps != fit.plan(lengths, settings(epochs=3), seed=5)


def test_rate_rises_over_the_warm_up_and_falls_to_zero():
    ten = [fit.rate(step, 10, settings(learning_rate=1.0, warmup=0.2)) for step in range(10)]
    np.testing.assert_allclose(ten, [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert fit.rate(0, 4, settings(learning_rate=1.0, warmup=0.0)) == 1.0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_same_seed_same_bytes(precision, tmp_path):
    digests = []
    for seed in (1, 1, 2):
        cp = fresh(tmp_path / "start")
        regression.train(cp, {"train": FRAME}, settings(precision=precision), seed, quiet)
        digests.append(digest(cp, tmp_path / "out"))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_two_steps_equal_those_of_a_slow_loop(tmp_path):
    chosen = settings(epochs=1, batch_size=16, weight_decay=0.3, clip_norm=0.5, warmup=0.0, learning_rate=0.01)
    cp, other = (without_dropout(fresh(tmp_path / "start")) for _ in range(2))
    regression.train(cp, {"train": FRAME}, chosen, 3, quiet)
    lengths = [len(ids) for ids in other.tokenizer(list(FRAME["text"]))["input_ids"]]
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in other.model.named_parameters()}
    # Adam makes full steps for gradients that are zero except for rounding: such weights are not compared.
    firm = {name: torch.ones_like(p, dtype=torch.bool) for name, p in other.model.named_parameters()}
    for step, rows in enumerate(fit.plan(lengths, chosen, 3)):
        other.model.zero_grad()
        errors = []
        for row in rows:
            ids = torch.tensor([other.tokenizer(FRAME["text"][row])["input_ids"]])
            errors.append((other.model(ids).logits[0, 0] - FRAME["label"][row]) ** 2)
        torch.stack(errors).mean().backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in other.model.parameters()))
        rate = 0.01 * (1 - step / 2)
        with torch.no_grad():
            for name, p in other.model.named_parameters():
                grad = p.grad * min(1.0, 0.5 / (norm + 1e-6))
                firm[name] &= grad.abs() > 1e-6
                first, second = moments[name]
                first.mul_(0.9).add_(0.1 * grad)
                second.mul_(0.999).add_(0.001 * grad**2)
                if p.ndim > 1:
                    p.mul_(1 - rate * 0.3)
                unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
                p.sub_(rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8))
    for name, value in cp.model.state_dict().items():
        close = (value - other.model.state_dict()[name]).abs() < 1e-4
        assert close[firm[name]].all(), name
    assert all(firm[name].float().mean() > 0.9 for name in firm if "dense.weight" in name)


def test_stopped_and_continued_with_the_optimizer_equals_uninterrupted(tmp_path):
    whole, parts = fresh(tmp_path / "start"), fresh(tmp_path / "start")
    regression.train(whole, {"train": FRAME}, settings(), 1, quiet)
    loss = regression.loss(parts, FRAME, settings())
    optimizer = fit.fit(parts, loss, settings(), 1, quiet, stop_step=3)
    torch.rand(5)  # what happens in between does not matter
    fit.fit(parts, loss, settings(), 1, quiet, start_step=3, optimizer=optimizer)
    assert digest(whole, tmp_path / "a") == digest(parts, tmp_path / "b")


def test_rewound_training_is_a_function_of_weights_seed_and_step(tmp_path):
    snapshots = {}
    cp = fresh(tmp_path / "start")
    keep = lambda step: snapshots.update({step: copy.deepcopy(cp.model.state_dict())})  # noqa: E731
    regression.train(cp, {"train": FRAME}, settings(), 1, quiet, on_step=keep)
    assert list(snapshots) == list(range(9))  # 2 epochs of 30 rows in batches of 8, and the start
    assert all(torch.equal(v, fresh(tmp_path / "start").model.state_dict()[k]) for k, v in snapshots[0].items())
    stopped = fresh(tmp_path / "start")
    regression.train(stopped, {"train": FRAME}, settings(), 1, quiet, stop_step=5)
    assert all(torch.equal(v, snapshots[5][k]) for k, v in stopped.model.state_dict().items())
    ends = []
    for _ in range(2):
        again = fresh(tmp_path / "start")
        again.model.load_state_dict(snapshots[5])
        regression.train(again, {"train": FRAME}, settings(), 1, quiet, start_step=5)
        ends.append(digest(again, tmp_path / "out"))
    assert ends[0] == ends[1]
    assert ends[0] != digest(cp, tmp_path / "out")  # its optimizer was fresh


def test_masked_weights_are_zero_from_the_first_step_to_the_last(tmp_path):
    cp = fresh(tmp_path / "start")
    start = {name: value.clone() for name, value in cp.model.state_dict().items()}
    names = [
        name for name, p in cp.model.named_parameters() if name.endswith("weight") and "encoder" in name and p.ndim == 2
    ]
    generator = torch.Generator().manual_seed(0)
    masks = {name: torch.rand(start[name].shape, generator=generator) < 0.5 for name in names}
    nonzero = []

    def count(step):
        nonzero.append(sum(cp.model.state_dict()[name][~mask].count_nonzero() for name, mask in masks.items()))

    chosen = settings(weight_decay=0.1)
    regression.train(cp, {"train": FRAME}, chosen, 1, quiet, masks=masks, on_step=count)
    assert nonzero == [0] * 9
    for name, mask in masks.items():
        value = cp.model.state_dict()[name]
        assert not torch.signbit(value[~mask]).any()  # no negative zeros
        assert (value != start[name])[mask].float().mean() > 0.99


def test_gradients_of_masked_weights_do_not_count_when_clipping(tmp_path):
    chosen = settings(epochs=1, batch_size=30, clip_norm=1e-3, warmup=0.0)
    cp, other = (without_dropout(fresh(tmp_path / "start")) for _ in range(2))
    gone = [name for name in cp.model.state_dict() if name.endswith("layer.1.intermediate.dense.weight")]
    loss = regression.loss(cp, FRAME, chosen)
    masks = {name: torch.zeros_like(cp.model.state_dict()[name], dtype=torch.bool) for name in gone}
    optimizer = fit.fit(cp, loss, chosen, 1, quiet, masks=masks)
    for name in gone:
        other.model.state_dict()[name].zero_()
    regression.loss(other, FRAME, chosen)(range(30)).backward()
    squares = {name: (p.grad**2).sum() for name, p in other.model.named_parameters()}
    everything, live = sum(squares.values()).sqrt(), sum(v for k, v in squares.items() if k not in gone).sqrt()
    assert live < 0.99 * everything
    clipped = other.model.classifier.weight.grad * 1e-3 / live
    torch.testing.assert_close(
        optimizer.state[cp.model.classifier.weight]["exp_avg"], 0.1 * clipped, rtol=2e-3, atol=1e-9
    )


def test_a_masked_matrix_that_the_loss_does_not_reach_is_masked_all_the_same(tmp_path):
    cp = fresh(tmp_path / "start")
    whole = regression.loss(cp, FRAME, settings())
    name = "bert.encoder.layer.1.output.dense.weight"
    cp.model.bert.encoder.layer[1].output.dense.forward = lambda x: x[..., :32] * 1.0
    mask = torch.eye(32, 48) == 0
    fit.fit(cp, whole, settings(epochs=1), 1, quiet, masks={name: mask})
    value = cp.model.state_dict()[name]
    assert not value[~mask].any()
    assert torch.equal(value[mask], fresh(tmp_path / "start").model.state_dict()[name][mask])


def test_momentum_from_before_the_masks_does_not_change_masked_weights(tmp_path):
    cp = fresh(tmp_path / "start")
    loss = regression.loss(cp, FRAME, settings())
    optimizer = fit.fit(cp, loss, settings(), 1, quiet, stop_step=3)
    name = "bert.encoder.layer.0.output.dense.weight"
    masks = {name: torch.eye(32, 48) == 0}
    fit.fit(cp, loss, settings(), 1, quiet, start_step=3, optimizer=optimizer, masks=masks)
    assert not cp.model.state_dict()[name][~masks[name]].any()


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta])
def test_frozen_embeddings_and_the_decoder_tied_to_them_stay(make, tmp_path):
    cp = fresh(tmp_path / "start", "masked_lm", make)
    start = {name: value.clone() for name, value in cp.model.state_dict().items()}
    chosen = masked_lm.Settings(learning_rate=1e-3, batch_size=8, frozen_embeddings=True, weight_decay=0.1)
    masked_lm.train(cp, {"train": FRAME}, chosen, 1, quiet)
    same = {name for name, value in cp.model.state_dict().items() if torch.equal(value, start[name])}
    still = {name for name in start if ".embeddings." in name or name.endswith("decoder.weight")}
    assert still <= same
    assert not {n for n in same - still if "query" in n or "dense.weight" in n or n.endswith("decoder.bias")}
    assert all(p.requires_grad and p.grad is None for p in cp.model.parameters())


def test_training_changes_nothing_but_the_weights(tmp_path):
    cp = fresh(tmp_path / "start")
    cp.dtype = "bfloat16"
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    regression.train(cp, {"train": FRAME}, settings(epochs=1), 1, quiet)
    assert torch.equal(torch.rand(4), expected)
    assert not cp.model.training
    assert cp.dtype == "float32"


def test_progress_is_logged_in_a_few_lines(tmp_path):
    lines = []
    regression.train(fresh(tmp_path / "start"), {"train": FRAME}, settings(epochs=4), 1, lines.append)
    assert 2 <= len(lines) <= fit.N_LOG_LINES + 1
    assert lines[-1].startswith("step 16/16  loss ")


@pytest.mark.parametrize("make", [tiny.tiny_bert, tiny.tiny_roberta])
def test_a_learnable_task_is_learned(make, tmp_path):
    frame = pd.DataFrame({"text": list(tiny.SENTENCES) * 4})
    frame["label"] = [tiny.LABELS[("he" in text.split()) + 2 * ("She" in text)] for text in frame["text"]]
    cp = checkpoints.load(make("classification", tmp_path / "start", initializer_range=0.1))
    chosen = classification.Settings(batch_size=8, epochs=40, learning_rate=3e-3, weight_decay=0.0, max_length=32)
    before = (classification.score(cp, frame, chosen)["predicted"] == frame["label"]).mean()
    classification.train(cp, {"train": frame}, chosen, 1, quiet)
    scored = classification.score(cp, frame, chosen)
    assert before < 0.9
    assert (scored["predicted"] == frame["label"]).all()


@pytest.mark.parametrize("label", [1e30, 3e38])
def test_training_that_diverges_is_an_error_and_not_a_table(label, tmp_path):
    cp = fresh(tmp_path / "start")
    before = {name: value.clone() for name, value in cp.model.state_dict().items()}
    far = FRAME.assign(label=label)  # its square is beyond float32
    with pytest.raises(UserError, match=r"diverged: the loss of step 1 of 8 is not finite.*learning_rate"):
        regression.train(cp, {"train": far}, settings(), 1, quiet)
    assert all(torch.equal(value, before[name]) for name, value in cp.model.state_dict().items())


class _InfiniteSlope(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.detach().clone()

    @staticmethod
    def backward(context, slope):
        return slope * float("inf")


def test_a_gradient_that_is_not_finite_is_an_error_although_the_loss_is(tmp_path):
    cp = fresh(tmp_path / "start")
    weight = next(cp.model.parameters())
    steep = fit.Loss([4] * 8, lambda rows, generator: _InfiniteSlope.apply(weight.sum()))
    with pytest.raises(UserError, match="diverged: the gradient of step 1 of 2 is not finite"):
        fit.fit(cp, steep, settings(), 1, quiet)
    assert torch.isfinite(weight).all()
