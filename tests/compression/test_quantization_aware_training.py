"""Training with rounded weights against steps written out by hand; the model that is stored is the one trained."""

import dataclasses

import pytest
import torch
from compression_case import compress, context, logits, reread, task, tiny
from every_architecture import built

from fairshrink.compression.quantization.quantization_aware_training.rounding import rounded
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.stored_forms.packed import Levels, dequantize, quantize
from fairshrink.training.state import TrainingState

LEVELS = Levels(3, None, True)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_values_are_rounded_and_gradients_pass(name):
    """Transposed layers too; outputs are exactly those of a model with rounded weights, afterwards those of before."""
    cp, dense = built(name, 0), built(name, 0)
    names = linear_names(cp.model, "encoder")
    before = logits(cp)
    for each in names:
        values = matrix(dense.model.get_submodule(each))
        values.copy_(dequantize(quantize(values, LEVELS), LEVELS))
    with rounded(cp.model, names, LEVELS):
        assert torch.equal(logits(cp), logits(dense))
        layer, other = (each.model.get_submodule(names[-1]) for each in (cp, dense))
        x = torch.randn(4, matrix(other).shape[1], generator=torch.Generator().manual_seed(0))
        layer(x).square().sum().backward()
        other(x).square().sum().backward()
        torch.testing.assert_close(layer.parametrizations.weight.original.grad, other.weight.grad)
    assert torch.equal(logits(cp), before)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qat")
    return folder, task(folder, "classification", learning_rate=0.003, epochs=2)


def test_training_lowers_the_loss_of_the_rounded_model(case):
    folder, about = case
    trained = compress("quantization_aware_training", tiny("bert", folder), context(about), bits=2, epochs=3)
    once = compress("linear_quantization", tiny("bert", folder), bits=2)
    frame = frames(about)["train"]
    losses = [about.module.loss(cp, frame, about.settings)(range(len(frame))).item() for cp in (trained, once)]
    assert losses[0] < losses[1]
    assert torch.equal(logits(reread(trained, folder / "after")), logits(trained))
    assert {each["bits"] for each in trained.structure["packed"].values()} == {2}


def test_a_run_that_is_stopped_resumes_to_the_same_bits(case, tmp_path):
    folder, about = case
    whole = compress("quantization_aware_training", tiny("bert", folder), context(about), bits=4)
    again = compress("quantization_aware_training", tiny("bert", folder), context(about), bits=4)
    assert torch.equal(logits(whole), logits(again))
    lines = []

    class Killed(TrainingState):
        def save(self, step, *args):
            super().save(step, *args)
            if step == 3:
                raise KeyboardInterrupt

    def run(kind):
        given = dataclasses.replace(context(about), state=kind(tmp_path, "key", lines.append, 0.0), log=lines.append)
        return compress("quantization_aware_training", tiny("bert", folder), given, bits=4, epochs=2)

    with pytest.raises(KeyboardInterrupt):
        run(Killed)
    resumed = run(TrainingState)
    assert any("resuming at step 3" in line for line in lines)
    whole = compress("quantization_aware_training", tiny("bert", folder), context(about), bits=4, epochs=2)
    assert torch.equal(logits(resumed), logits(whole))


def test_what_cannot_be_trained_is_refused(case):
    folder, about = case
    with pytest.raises(UserError, match="needs a task"):
        compress("quantization_aware_training", tiny("bert", folder))
    with pytest.raises(UserError, match="uncompressed baseline"):
        compress("quantization_aware_training", compress("layer_tying", tiny("bert", folder)), context(about))
    with pytest.raises(UserError, match="do not divide"):
        compress("quantization_aware_training", tiny("bert", folder), context(about), group=64)
