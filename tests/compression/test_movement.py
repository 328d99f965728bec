"""Movement pruning: the training of scores against a loop written out by hand, exact counts, resuming."""

import dataclasses

import pytest
import torch
from compression_case import compress, context, logits, reread, task, tiny
from pydantic import ValidationError

from fairshrink import registry
from fairshrink.compression.unstructured.movement.scores import Scored, sparsity_at
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.training import fit
from fairshrink.training.state import TrainingState


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movement")
    return folder, task(folder, "regression", learning_rate=0.003, epochs=2, warmup=0.0, clip_norm=0.5)


def undisturbed(cp):
    for module in cp.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return cp


def start(folder):
    return undisturbed(tiny("bert", folder, "regression"))


def lowest(scores: list[float], number: int) -> set[int]:
    """The positions of this many of the lowest, earlier ones first."""
    return set(sorted(range(len(scores)), key=lambda at: (scores[at], at))[:number])


def test_scores_and_weights_are_trained_as_a_slow_loop_trains_them(case):
    """Weights, scores and masks as separate tensors; gradients from a dense copy that holds the masked weights."""
    folder, about = case
    made = compress("movement", start(folder), context(about), sparsity=0.6, start="baseline", dense=0.1, final=0.2)
    dense, settings = start(folder), about.settings.model_copy(update={"epochs": 1})
    dense.model.train()
    names = [f"{each}.weight" for each in linear_names(dense.model, "encoder")]
    held = {name: value.detach().clone() for name, value in dense.model.named_parameters()}
    scores = {name: torch.zeros(held[name].shape) for name in names}
    matrices = [held[name] for name in held if held[name].ndim > 1]
    others = [held[name] for name in held if held[name].ndim < 2] + list(scores.values())
    optimizer = torch.optim.AdamW([
        {"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}
    ])  # fmt: skip
    loss = about.module.loss(dense, frames(about)["train"], settings)
    steps = fit.plan(loss.lengths, settings, about.seed)
    keep = {name: torch.ones(held[name].shape) for name in names}
    for step, rows in enumerate(steps):
        with torch.no_grad():
            for name, value in dense.model.named_parameters():
                value.copy_(held[name] * keep[name] if name in keep else held[name])
        dense.model.zero_grad()
        loss(rows).backward()
        for name, value in dense.model.named_parameters():
            if name in keep:
                scores[name].grad = value.grad * held[name]
                held[name].grad = value.grad * keep[name]
            else:
                held[name].grad = value.grad.clone()
        torch.nn.utils.clip_grad_norm_([*held.values(), *scores.values()], settings.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / len(steps))
        optimizer.step()
        done = (step + 1) / len(steps)
        rising = min(max((done - 0.1) / 0.7, 0), 1)
        for name in names:
            removed = lowest(
                scores[name].flatten().tolist(), round(0.6 * (1 - (1 - rising) ** 3) * scores[name].numel())
            )
            keep[name] = torch.tensor([at not in removed for at in range(scores[name].numel())]).view_as(keep[name])
    state = made.model.state_dict()
    for name in names:
        same = (state[name] != 0) == keep[name].bool()
        # Scores whose gradients are rounding errors have no order.
        assert same.float().mean() > 0.99, name
        both = (state[name] != 0) & keep[name].bool()
        assert (state[name] - held[name])[both].abs().max() < 2e-3
        random = torch.rand(keep[name].shape, generator=torch.Generator().manual_seed(0)) > 0.6
        assert ((state[name] != 0) == random).float().mean() < 0.7


def test_a_score_falls_where_a_step_would_move_its_weight_toward_zero():
    """By hand: L = g·w, so ∂L/∂S = g × w, and a step of any optimizer against it."""
    weight = torch.tensor([[2.0, -2.0, 1.0, -1.0]], requires_grad=True)
    gradient = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    scored = Scored(weight.detach())
    scored.choose(0.25)  # equal scores: the first one goes
    assert scored.kept.tolist() == [[False, True, True, True]]
    out = scored(weight)
    assert out.tolist() == [[0.0, -2.0, 1.0, -1.0]]
    (gradient * out).sum().backward()
    assert weight.grad.tolist() == [[0.0, 1.0, -1.0, -1.0]]
    assert scored.scores.grad.tolist() == [2.0, -2.0, -1.0, 1.0]  # of the removed one too: it can come back
    with torch.no_grad():
        scored.scores -= 0.1 * scored.scores.grad
    scored.choose(0.5)
    assert scored.kept.tolist() == [[False, True, True, False]]


def test_the_share_removed_rises_with_the_cube():
    assert [sparsity_at(each, 0.8, 0.2, 0.4) for each in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx(
        [0.0, 0.0, 0.8 * (1 - 0.125), 0.8, 0.8]
    )


@pytest.mark.parametrize(("name", "kind"), [("bert", "regression"), ("llama", "causal_lm")])
def test_each_matrix_loses_exactly_its_share_and_is_read_back(name, kind, tmp_path):
    about = task(tmp_path, kind)
    cp = tiny(name, tmp_path, kind)
    made = compress("movement", cp, context(about, source=lambda: tiny(name, tmp_path, kind)), sparsity=0.75)
    for each in linear_names(made.model, "encoder"):
        weight = made.model.get_submodule(each).weight
        assert int((weight == 0).sum()) == round(0.75 * weight.numel())
        assert not torch.signbit(weight[weight == 0]).any()
    assert torch.equal(logits(reread(made, tmp_path / "saved")), logits(made))
    assert not any("parametrizations" in each for each in made.model.state_dict())


def test_only_the_named_blocks_are_trained_and_pruned(case):
    folder, about = case
    made = compress("movement", start(folder), context(about), sparsity=0.5, start="baseline", layers=[1])
    before = start(folder).model.state_dict()
    for name, value in made.model.state_dict().items():
        assert torch.equal(value, before[name]) == (".layer.1." not in name), name


def test_it_starts_from_the_pretrained_model_unless_told_otherwise(case):
    folder, about = case
    other = undisturbed(tiny("bert", folder, "regression", initializer_range=0.1))
    made = [
        compress("movement", start(folder), context(about, source=lambda: other), sparsity=0.5),
        compress("movement", other, context(about), sparsity=0.5, start="baseline"),
    ]
    assert torch.equal(*map(logits, made))


def test_a_run_that_is_stopped_resumes_to_the_same_bits(case, tmp_path):
    folder, about = case
    options = {"sparsity": 0.5, "start": "baseline", "epochs": 2}
    whole = compress("movement", start(folder), context(about), **options)
    lines = []

    class Killed(TrainingState):
        def save(self, step, *args):
            super().save(step, *args)
            if step == 3:
                raise KeyboardInterrupt

    def run(kind):
        given = dataclasses.replace(context(about), state=kind(tmp_path, "key", lines.append, 0.0), log=lines.append)
        return compress("movement", start(folder), given, **options)

    with pytest.raises(KeyboardInterrupt):
        run(Killed)
    resumed = run(TrainingState)
    assert any("resuming at step 3" in line for line in lines)
    assert torch.equal(logits(resumed), logits(whole))


def test_what_makes_no_sense_is_refused(case):
    folder, about = case
    settings = registry.load("compression", "movement").Settings
    for wrong in ({"sparsity": 1.0}, {"sparsity": 0.5, "dense": 0.6, "final": 0.4}, {}):
        with pytest.raises(ValidationError):
            settings(**wrong)
    with pytest.raises(UserError, match="needs a task"):
        compress("movement", start(folder), sparsity=0.5)
    with pytest.raises(UserError, match="uncompressed baseline"):
        compress("movement", compress("layer_tying", start(folder)), context(about), sparsity=0.5)
