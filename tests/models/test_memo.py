"""A memo answers what was asked before and nothing else; the count of forward passes is the evidence."""

import copy
import dataclasses

import numpy as np
import pytest
import tiny
import torch

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import generation, log_probs, outputs
from fairshrink.models.inference.memo import Memo

TEXTS = tiny.SENTENCES[:4]


class Counted:
    """A checkpoint with a memo, and how often its embeddings of tokens were asked: once for each batch."""

    def __init__(self, path):
        plain = checkpoints.load(path)
        self.plain, self.passes = plain, 0
        self.cp = dataclasses.replace(plain, memo=Memo(plain.model))
        plain.model.get_input_embeddings().register_forward_hook(self._count)

    def _count(self, *_):
        self.passes += 1

    def passes_of(self, ask):
        before = self.passes
        return ask(), self.passes - before


@pytest.fixture
def classifier(tmp_path):
    return Counted(tiny.tiny_bert("classification", tmp_path))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {"masked_lm": tiny.tiny_bert, "causal_lm": tiny.tiny_llama, "classification": tiny.tiny_bert}
    return {head: make(head, folder / head) for head, make in made.items()}


SEQUENCES = [[2, 9, 8, 7, 3], [2, 9, 8, 3]]
ASKED = {
    "classification": lambda cp: outputs.sequence_logits(cp, TEXTS, max_length=12),
    "masked_lm": lambda cp: log_probs.masked_log_probs(cp, SEQUENCES, [1, 2], [5, 6]),
    "causal_lm": lambda cp: log_probs.causal_log_probs(cp, SEQUENCES),
}
MORE = {
    "classification": lambda cp: outputs.sentence_embeddings(cp, TEXTS, "mean"),
    "masked_lm": lambda cp: outputs.attention_received(cp, SEQUENCES),
    "causal_lm": lambda cp: generation.continuations(cp, SEQUENCES, generation.Sampling(3, draws=2, seed=1)),
}


@pytest.mark.parametrize("asked", [ASKED, MORE], ids=["first", "more"])
@pytest.mark.parametrize("head", ASKED)
def test_the_same_question_is_computed_once_to_the_same_bits(models, head, asked):
    counted, ask = Counted(models[head]), asked[head]
    plain, each_time = counted.passes_of(lambda: ask(counted.plain))
    first, once = counted.passes_of(lambda: ask(counted.cp))
    second, again = counted.passes_of(lambda: ask(counted.cp))
    assert (once, again) == (each_time, 0) and each_time > 0
    for one, *others in zip(plain, first, second, strict=True):
        assert all(np.array_equal(one, other) for other in others)


def test_what_differs_in_anything_is_computed(classifier):
    cp = classifier.cp
    questions = [
        lambda: outputs.sequence_logits(cp, TEXTS),
        lambda: outputs.sequence_logits(cp, TEXTS[::-1]),
        lambda: outputs.sequence_logits(cp, TEXTS, TEXTS),
        lambda: outputs.sequence_logits(cp, TEXTS, max_length=5),
        lambda: outputs.sequence_logits(dataclasses.replace(cp, precision="bf16"), TEXTS),
        lambda: outputs.sentence_embeddings(cp, TEXTS, "cls"),
        lambda: outputs.sentence_embeddings(cp, TEXTS, "last"),
    ]
    for ask in questions:
        assert classifier.passes_of(ask)[1] > 0
    for ask in questions:
        assert classifier.passes_of(ask)[1] == 0


def test_numbers_of_numpy_are_asked_like_those_of_python(models):
    counted = Counted(models["masked_lm"])
    known = log_probs.masked_log_probs(counted.cp, SEQUENCES, [1, 2], [5, 6])
    arrays = [np.array(each) for each in SEQUENCES]
    again, passes = counted.passes_of(
        lambda: log_probs.masked_log_probs(counted.cp, arrays, np.array([1, 2]), np.array([5, 6]))
    )
    assert passes == 0 and np.array_equal(known, again)
    many, targets = [SEQUENCES[0]] * 1500, np.full(1500, 5)  # numpy leaves out the middle of what it prints
    first = log_probs.masked_log_probs(counted.cp, many, [1] * 1500, targets)
    targets[700] = 6
    second = log_probs.masked_log_probs(counted.cp, many, [1] * 1500, targets)
    assert (first != second).nonzero()[0].tolist() == [700]


def test_a_caller_may_change_what_it_got(classifier):
    first = outputs.sequence_logits(classifier.cp, TEXTS)
    kept = first.copy()
    first[:] = 0
    second = outputs.sequence_logits(classifier.cp, TEXTS)
    assert np.array_equal(second, kept)
    second[:] = 1
    assert np.array_equal(outputs.sequence_logits(classifier.cp, TEXTS), kept)


def test_a_copy_that_is_changed_answers_for_itself(classifier):
    before = outputs.sequence_logits(classifier.cp, TEXTS)
    changed = copy.deepcopy(classifier.cp)
    outputs.sequence_logits(changed, TEXTS)
    with torch.no_grad():
        changed.model.classifier.weight.zero_()
    assert not np.array_equal(outputs.sequence_logits(changed, TEXTS), before)
    other = dataclasses.replace(classifier.cp, model=changed.model)  # the memo of another model is not asked
    assert not np.array_equal(outputs.sequence_logits(other, TEXTS), before)


def test_the_oldest_answers_make_place_for_new_ones(classifier):
    size = outputs.sequence_logits(classifier.plain, TEXTS).nbytes
    cp = dataclasses.replace(classifier.plain, memo=Memo(classifier.plain.model, size))
    one, two, three, four = TEXTS[:1], TEXTS[:2], TEXTS[1:4], TEXTS
    for texts, passes in (
        (one, 1),
        (three, 1),
        (one, 0),
        (two, 1),
        (two, 0),
        (three, 1),
        (one, 1),
        (four, 1),
        (four, 0),
    ):
        assert classifier.passes_of(lambda texts=texts: outputs.sequence_logits(cp, texts))[1] == passes
    too_small = dataclasses.replace(classifier.plain, memo=Memo(classifier.plain.model, size - 1))
    for _ in range(2):
        assert classifier.passes_of(lambda: outputs.sequence_logits(too_small, four))[1] == 1


def test_states_that_were_read_by_one_question_serve_another(models):
    counted, other = Counted(models["masked_lm"]), checkpoints.load(models["masked_lm"])

    def compared():
        return log_probs.compared_log_probs(
            counted.cp,
            other,
            SEQUENCES,
            [[1], [2]],
            [[5], [6]],
            lambda log_p, _, right: log_p.gather(1, right[:, None]),
        )

    found, passes = counted.passes_of(lambda: ASKED["masked_lm"](counted.cp))
    again, none = counted.passes_of(compared)
    assert passes > 0 and none == 0
    np.testing.assert_allclose(again[:, 0], found, atol=1e-6)


def test_the_baseline_is_asked_once_for_all_that_are_compared_with_it(models):
    baseline, other = Counted(models["masked_lm"]), checkpoints.load(models["masked_lm"])
    with torch.no_grad():
        other.model.get_input_embeddings().weight += 0.1

    def ask(cp):
        return log_probs.compared_log_probs(
            cp,
            baseline.cp,
            SEQUENCES,
            [[1], [2]],
            [[5], [6]],
            lambda p, q, right: torch.stack([p.amax(1), q.amax(1)], 1),
        )

    first, passes = baseline.passes_of(lambda: ask(other))
    again, none = baseline.passes_of(lambda: ask(other))
    assert passes > 0 and none == 0 and np.array_equal(first, again)
    assert not np.array_equal(first[:, 0], first[:, 1])
