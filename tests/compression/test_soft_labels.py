"""Distillation: the loss against a slow one, students by depth and width, and that a fresh one learns."""

import copy
import math

import pytest
import torch
from compression_case import compress, context, logits, reread, task, tiny
from pydantic import ValidationError

from fairshrink import registry
from fairshrink.compression.distillation.soft_labels.losses import distillation_loss
from fairshrink.compression.distillation.soft_labels.student import kept_layers, student_of
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, prefixes
from fairshrink.models.inference.log_probs import causal_log_probs

KINDS = {"classification": "bert", "regression": "bert", "masked_lm": "roberta", "causal_lm": "llama"}
METHOD = registry.load("compression", "soft_labels")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distillation")


def settings(**values):
    return METHOD.Settings(**values)


def softened(row, temperature):
    powers = [math.exp(each / temperature) for each in row]
    return [each / sum(powers) for each in powers]


def slow_soft(student, teacher, temperature):
    """T² KL of one row of logits, number by number."""
    ours, theirs = softened(student, temperature), softened(teacher, temperature)
    return temperature**2 * sum(p * (math.log(p) - math.log(q)) for p, q in zip(theirs, ours, strict=True))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_loss_of_texts_equals_a_slow_one(kind, folder):
    about = task(folder, kind)
    teacher, student = tiny("bert", folder, kind), tiny("bert", folder, kind, num_hidden_layers=1)
    frame = frames(about)["train"].head(5)
    found = distillation_loss(student, teacher, about, frame, 0.3, 2.5)(range(5)).item()
    said = []
    for text, label in zip(frame["text"], frame["label"], strict=True):
        given = student.tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            ours, theirs = (each.model(**given).logits[0].tolist() for each in (student, teacher))
        if kind == "regression":
            said.append(0.3 * (ours[0] - label) ** 2 + 0.7 * (ours[0] - theirs[0]) ** 2)
        else:
            hard = -math.log(softened(ours, 1)[student.labels.index(label)])
            said.append(0.3 * hard + 0.7 * slow_soft(ours, theirs, 2.5))
    assert found == pytest.approx(sum(said) / 5, rel=1e-4)


def test_the_loss_of_a_causal_model_equals_a_slow_one(folder):
    about = task(folder, "causal_lm")
    teacher, student = tiny("llama", folder), tiny("llama", folder, num_hidden_layers=1)
    frame = frames(about)["train"].head(3)
    found = distillation_loss(student, teacher, about, frame, 0.4, 2.0)(range(3)).item()
    said = []
    for text in frame["text"]:
        ids = [student.tokenizer.bos_token_id, *student.tokenizer(text, add_special_tokens=False)["input_ids"]][:64]
        with torch.inference_mode():
            ours, theirs = (each.model(torch.tensor([ids])).logits[0].tolist() for each in (student, teacher))
        for place, wanted in enumerate(ids[1:]):
            hard = -math.log(softened(ours[place], 1)[wanted])
            said.append(0.4 * hard + 0.6 * slow_soft(ours[place], theirs[place], 2.0))
    assert found == pytest.approx(sum(said) / len(said), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_teacher_it_is_the_loss_of_the_task(kind, folder):
    """And a student that says what its teacher says has no other loss."""
    about, cp = task(folder, kind), tiny(KINDS[kind], folder, kind)
    frame = frames(about)["train"].head(4)
    plain = about.module.loss(cp, frame, about.settings)([0, 1, 2, 3], 7).item()
    other = tiny(KINDS[kind], folder, kind, num_hidden_layers=1)
    alone = distillation_loss(cp, other, about, frame, 1.0, 2.0)([0, 1, 2, 3], 7).item()
    same = distillation_loss(cp, copy.deepcopy(cp), about, frame, 0.25, 2.0)([0, 1, 2, 3], 7).item()
    assert alone == pytest.approx(plain, rel=1e-5)
    assert same == pytest.approx(0.25 * plain, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"student_layers": 3}, [0, 2, 4]),
        ({"student_layers": 4}, [0, 1, 3, 4]),
        ({"student_layers": 2, "choice": "first"}, [0, 1]),
        ({"student_layers": 2, "choice": "last"}, [4, 5]),
        ({"kept_layers": [1, 5]}, [1, 5]),
        ({"width": 0.5}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_which_blocks_are_kept(values, kept):
    assert kept_layers(6, settings(**values)) == kept


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_student_starts_as_the_blocks_of_its_teacher(name, folder):
    teacher = tiny(name, folder, num_hidden_layers=3)
    student = student_of(teacher, settings(kept_layers=[0, 2]), seed=0)
    state, mine, theirs = student.model.state_dict(), prefixes(student.model), prefixes(teacher.model)
    for key, value in teacher.model.state_dict().items():
        if key.startswith(f"{theirs[1]}."):
            continue
        key = key.replace(f"{theirs[2]}.", f"{mine[1]}.")
        assert torch.equal(state[key], value), key
    assert student.model.num_parameters() < teacher.model.num_parameters()
    assert torch.equal(logits(student), logits(reread(student, folder / f"{name}-student")))


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_narrower_student_has_fewer_heads_of_the_same_width(name, folder):
    teacher = tiny(name, folder)
    student = student_of(teacher, settings(width=0.5), seed=0)
    (before, *_), (after, *_) = blocks(teacher.model), blocks(student.model)
    assert (after.n_heads, after.kv_heads) == (before.n_heads // 2, before.kv_heads // 2)
    assert after.head_dim == before.head_dim and after.neurons == before.neurons // 2
    assert student.model.config.hidden_size == teacher.model.config.hidden_size // 2
    assert torch.equal(logits(student), logits(reread(student, folder / f"{name}-narrow")))


def test_a_fresh_student_learns_what_its_teacher_says(folder):
    about = task(folder, "causal_lm")
    teacher = tiny("llama", folder)
    before = copy.deepcopy(teacher.model.state_dict())
    values = {"student_layers": 1, "initial": "fresh", "alpha": 0.0, "temperature": 1.0}
    fresh = student_of(teacher, settings(**values), context().seed)
    after = compress("soft_labels", teacher, context(about), **values, epochs=20, learning_rate=1e-2, batch_size=8)
    frame = frames(about)["train"].head(8)
    distance = [distillation_loss(each, teacher, about, frame, 0.0, 1.0)(range(8)).item() for each in (fresh, after)]
    assert distance[1] < 0.7 * distance[0]
    assert all(torch.equal(value, before[name]) for name, value in teacher.model.state_dict().items())
    again = reread(after, folder / "learned")
    ids = [[0, 7, 9, 30, 12]]
    assert (causal_log_probs(again, ids)[0] == causal_log_probs(after, ids)[0]).all()


def test_without_a_teacher_it_is_trained_as_the_task_is(folder):
    about, teacher = task(folder, "classification"), tiny("bert", folder, "classification")
    values = settings(student_layers=1, alpha=1.0)
    by_hand = student_of(teacher, values, context().seed)
    about.module.train(by_hand, frames(about), about.settings, about.seed, lambda line: None)
    after = compress("soft_labels", teacher, context(about), student_layers=1, alpha=1.0)
    state = by_hand.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in after.model.state_dict().items())


def test_what_cannot_be_is_refused(folder):
    teacher, about = tiny("bert", folder, "classification"), context(task(folder, "classification"))
    for values, said in (
        ({}, "would be its teacher"),
        ({"student_layers": 2, "kept_layers": [1]}, "write one of"),
        ({"kept_layers": [1, 0]}, "rising order"),
    ):
        with pytest.raises(ValidationError, match=said):
            settings(**values)
    for values, said in (
        ({"student_layers": 3}, "`student_layers` is 3, and the teacher has 2"),
        ({"kept_layers": [2]}, "no block 2"),
    ):
        with pytest.raises(UserError, match=said):
            compress("soft_labels", teacher, about, **values)
    with pytest.raises(UserError, match="uncompressed"):
        compress("soft_labels", compress("int8_dynamic", copy.deepcopy(teacher)), about, student_layers=1)
