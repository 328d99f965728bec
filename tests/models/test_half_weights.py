"""Models that are stored and computed in bfloat16 are not in memory in float32 on a GPU, and say the same."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import zoo

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import half_weights
from fairshrink.models.architecture.blocks import linear_names
from fairshrink.models.inference import batching, log_probs, outputs

CASES = [*((name, "causal_lm") for name in zoo.CAUSAL), ("bert", "masked_lm"), ("roberta", "classification")]
CASES += [("albert", "masked_lm"), ("deberta-v2", "encoder"), ("modernbert", "masked_lm"), ("t5", "encoder")]


def values(cp):
    """What a model says of some texts, whatever its head."""
    if cp.head == "causal_lm":
        sequences = [batching.causal_ids(cp, text) for text in tiny.SENTENCES[:3]]
        return np.concatenate(log_probs.causal_log_probs(cp, sequences))
    if cp.head == "masked_lm":
        sequences, positions, targets, _ = batching.each_masked(cp, tiny.SENTENCES[:2])
        return log_probs.masked_log_probs(cp, sequences, positions, targets)
    if cp.head == "encoder":
        return outputs.sentence_embeddings(cp, tiny.SENTENCES[:3], "mean")
    return outputs.sequence_logits(cp, tiny.SENTENCES[:3])


@pytest.mark.parametrize(("name", "head"), CASES)
def test_outputs_are_the_same_bits(name, head, tmp_path, monkeypatch):
    labels = zoo.LABELS if head == "classification" else ()
    folder = zoo.model_folder(name, head, tmp_path / "given")
    checkpoints.save(
        checkpoints.from_source(folder, head=head, labels=labels, dtype="bfloat16", trained=False), tmp_path / "made"
    )
    usual = checkpoints.load(tmp_path / "made", precision="bf16")
    monkeypatch.setattr(half_weights, "suit", lambda *given: True)
    held = checkpoints.load(tmp_path / "made", precision="bf16")
    names = linear_names(held.model, "encoder")
    assert names
    for each in names:
        weight = held.model.get_submodule(each).weight
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight.float(), usual.model.get_submodule(each).weight)
    others = [each for each in held.model.parameters() if each.dtype != torch.float32]
    assert len(others) == len({id(held.model.get_submodule(each).weight) for each in names})
    assert np.array_equal(values(held), values(usual))


def test_only_what_is_stored_and_computed_in_bfloat16_on_a_gpu_is_held_in_it():
    for stored in ("float32", "bfloat16"):
        for precision in ("fp32", "bf16"):
            for device in ("cpu", "cuda", "cuda:1"):
                wanted = (stored, precision) == ("bfloat16", "bf16") and device != "cpu"
                assert half_weights.suit(stored, precision, device) == wanted


def test_a_load_in_float32_is_float32(tmp_path):
    checkpoints.save(
        checkpoints.from_source(
            zoo.model_folder("qwen2", "causal_lm", tmp_path / "a"), head="causal_lm", dtype="bfloat16"
        ),
        tmp_path / "b",
    )
    for precision in ("fp32", "bf16"):
        cp = checkpoints.load(tmp_path / "b", precision=precision)
        assert {each.dtype for each in cp.model.parameters()} == {torch.float32}
