"""Recovery: what was removed stays removed, all else is trained as the task trains; words that are exchanged."""

import copy
import dataclasses

import pandas as pd
import pytest
import torch
from compression_case import as_stored_in, compress, context, logits, reread, task, tiny

from fairshrink import registry
from fairshrink.compression._shared.counterfactual import swapped, with_counterfactuals
from fairshrink.compression._shared.fitting import zero_masks
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.heads import head_units
from fairshrink.training.settings import TrainingSettings


def state(cp):
    return {name: value.clone() for name, value in cp.model.state_dict().items()}


def equal(one, other):
    return all(torch.equal(value, state(other)[name]) for name, value in state(one).items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recovery")


@pytest.fixture(scope="module")
def about(folder):
    return task(folder, "classification", learning_rate=1e-2, batch_size=8)


def trained_slowly(cp, about, masks):
    """The task's own training, one step at a time, with the removed weights set to zero by hand after each."""
    module, epochs = registry.load("tasks", about.kind), about.settings.epochs

    def zero(step):
        with torch.no_grad():
            for name, mask in masks.items():
                cp.model.get_parameter(name).mul_(mask)

    module.train(cp, frames(about), about.settings, about.seed, lambda line: None, masks=masks, on_step=zero)
    assert epochs == 1
    return cp


def test_pruned_weights_stay_zero_and_the_rest_is_trained_as_the_task_trains(folder, about):
    pruned = compress("magnitude_global", tiny("bert", folder, "classification"), sparsity=0.6)
    masks = {f"{n}.weight": pruned.model.get_submodule(n).weight != 0 for n in linear_names(pruned.model, "encoder")}
    after = compress("recovery", copy.deepcopy(pruned), context(about))
    assert equal(after, trained_slowly(copy.deepcopy(pruned), about, masks))
    for name, mask in masks.items():
        assert torch.equal(after.model.get_parameter(name) != 0, mask)
    assert not equal(after, pruned)


def test_of_nothing_removed_it_is_the_control(folder, about):
    cp = tiny("bert", folder, "classification")
    settings = {"epochs": 2, "learning_rate": 3e-3, "batch_size": 4, "train_items": 9}
    control = compress("trained_further", copy.deepcopy(cp), context(about), **settings)
    assert equal(compress("recovery", copy.deepcopy(cp), context(about), **settings), control)


def test_removed_heads_stay_removed(folder, about):
    cp = compress("head_pruning", tiny("bert", folder, "classification"), context(about), sparsity=0.25, items=4)
    units = head_units(cp.model)
    after = compress("recovery", cp, context(about))
    again = reread(after, folder / "heads")
    assert head_units(again.model) == units and sum(units) == 6
    assert torch.equal(logits(again), logits(after))


def test_chosen_layers_alone_are_trained(folder, about):
    cp = tiny("bert", folder, "classification")
    before, after = state(cp), state(compress("recovery", copy.deepcopy(cp), context(about), layers=[1]))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("bert.encoder.layer.1.")}
    with pytest.raises(UserError, match=r"no block 2.*0 to 1"):
        compress("recovery", cp, context(about), layers=[2])


def test_a_causal_model_is_trained_by_its_loss_and_stored_as_before(folder):
    """Its baseline is not trained, so that settings the task lacks are the defaults."""
    about = task(folder, "causal_lm")
    cp = compress("magnitude_global", as_stored_in(tiny("llama", folder), "bfloat16"), sparsity=0.5)
    loss = registry.load("tasks", "causal_lm").loss
    rows = range(len(frames(about)["train"]))
    before = loss(cp, frames(about)["train"], about.settings)(rows).item()
    after = compress("recovery", copy.deepcopy(cp), context(about), learning_rate=1e-3, epochs=3)
    assert loss(after, frames(about)["train"], about.settings)(rows).item() < before - 0.1
    assert after.dtype == "bfloat16" and equal(after, reread(after, folder / "causal"))
    assert TrainingSettings().learning_rate == 5e-5
    masks, zeros = zero_masks(cp.model), {}
    for name, mask in masks.items():
        zeros[name] = bool((after.model.get_parameter(name)[~mask] == 0).all())
    assert len(zeros) == len(linear_names(cp.model, "encoder")) and all(zeros.values())


def test_a_task_without_a_loss_is_refused(folder):
    about = task(folder, "regression")
    similarity = dataclasses.replace(about, module=registry.load("tasks", "similarity"), kind="similarity")
    with pytest.raises(UserError, match="no loss to train on"):
        compress("recovery", tiny("bert", folder, "encoder"), context(similarity))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("The nurse said that she lost her keys.", "The nurse said that he lost his keys."),
        ("I saw her yesterday, and gave her his book.", "I saw him yesterday, and gave his her book."),
        ("HE is a King; the mother's hat is his.", "SHE is a Queen; the father's hat is hers."),
        ("Nobody here was there; sherry and heroes-to-be.", "Nobody here was there; sherry and heroes-to-be."),
        ("My mother-in-law told him.", "My father-in-law told her."),
    ],
)
def test_words_are_exchanged(text, other):
    """In "gave her his book" the rule is wrong, as it says: a word follows that "her" could belong to."""
    assert swapped(text) == other


def test_texts_without_such_words_are_there_once():
    rows = pd.DataFrame({"text": ["He ran.", "It ran."], "text_pair": ["Go.", "Go."], "label": ["a", "b"]})
    found = with_counterfactuals(rows)
    assert list(found["text"]) == ["He ran.", "It ran.", "She ran."]
    assert list(found["label"]) == ["a", "b", "a"] and list(found["text_pair"]) == ["Go."] * 3


def test_exchanged_words_are_trained_on(folder, about):
    """The step of training on both is that of a table with both."""
    cp = tiny("bert", folder, "classification")
    plain = compress("recovery", copy.deepcopy(cp), context(about))
    assert not equal(compress("recovery", copy.deepcopy(cp), context(about), counterfactual=True), plain)
