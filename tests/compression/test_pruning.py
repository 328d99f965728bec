"""All methods: exact counts, reproducibility, saving and loading.

Oracles: numpy's stable argsort over all weights laid end to end; counts by hand.
"""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from compression_case import as_stored_in, compress, context, logits, reread, task, tiny, weights
from pydantic import ValidationError
from tiny import tiny_bert

from fairshrink import registry
from fairshrink.compression._shared.selection import magnitude, random_keys, smallest
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.architecture.blocks import linear_names

ONE_SHOT = ("random", "magnitude_layerwise", "magnitude_global", "magnitude_attention")
CASES = [
    *((method, {"sparsity": 0.37}) for method in ONE_SHOT),
    ("iterative_magnitude", {"sparsity": 0.6, "rounds": 2}),
    ("head_pruning", {"sparsity": 0.5}),
    ("head_pruning", {"keep_score": 0.01, "step": 0.2}),
    ("int8_dynamic", {}),
    ("int8_dynamic", {"scope": "all"}),
    ("int8_weight_only", {}),
    ("random_init", {}),
    ("random_init", {"control_seed": 3}),
    ("random_heads", {"sparsity": 0.5}),
    ("weight_noise", {"level": 0.3}),
]
KINDS = {
    "bert": ("classification", "classification"),
    "roberta": ("masked_lm", "masked_lm"),
    "llama": ("causal_lm", "causal_lm"),
}
# Methods without training or development examples, which therefore work on models without fine-tuning.
AS_IS = [case for case in CASES if not {"rounds", "keep_score"} & set(case[1])]


@pytest.mark.parametrize("name", ["bert", "roberta", "llama"])
@pytest.mark.parametrize(("method", "settings"), CASES)
def test_a_saved_model_gives_the_same_logits(name, method, settings, tmp_path):
    kind, head = KINDS[name]
    if not registry.load("tasks", kind).TRAINED and ("keep_score" in settings or "rounds" in settings):
        pytest.skip(f"refused for {kind}, see below")
    before = tiny(name, tmp_path, head)
    about = context(task(tmp_path, kind), source=lambda: copy.deepcopy(before))
    after = compress(method, copy.deepcopy(before), about, **settings)
    again = reread(after, tmp_path / "after")
    assert torch.equal(logits(again), logits(after))
    assert not torch.equal(logits(after), logits(before))
    assert again.structure == after.structure
    assert after.path is None


@pytest.mark.parametrize(("method", "settings"), AS_IS)
def test_a_model_stored_in_bfloat16_gives_the_same_logits(method, settings, tmp_path):
    before = as_stored_in(tiny("llama", tmp_path), "bfloat16")
    after = compress(method, before, context(task(tmp_path, "causal_lm")), **settings)
    assert torch.equal(logits(reread(after, tmp_path / "after")), logits(after))


@pytest.mark.parametrize(("method", "settings"), CASES)
def test_the_same_settings_give_the_same_bytes(method, settings, tmp_path):
    written = []
    for turn in "ab":
        source = tiny("bert", tmp_path, "classification")
        about = context(task(tmp_path, "classification"), source=lambda cp=source: copy.deepcopy(cp))
        checkpoints.save(compress(method, copy.deepcopy(source), about, **settings), tmp_path / turn)
        written.append({file.name: file.read_bytes() for file in (tmp_path / turn).glob("*.safetensors")})
    assert written[0] == written[1] != {}


@pytest.mark.parametrize("sparsity", [0.0, 0.001, 0.5, 0.8125, 0.999])
@pytest.mark.parametrize("scope", ["encoder", "attention", "feed_forward", "all"])
def test_global_magnitude_removes_the_first_of_a_stable_sort(scope, sparsity, tmp_path):
    cp = as_stored_in(tiny("bert", tmp_path), "bfloat16")  # many equal magnitudes
    names = linear_names(cp.model, scope)
    before = weights(cp, names)
    after = weights(compress("magnitude_global", cp, sparsity=sparsity, scope=scope), names)
    flat = np.concatenate([before[name].numpy().ravel() for name in names])
    assert len(np.unique(np.abs(flat))) < 0.9 * len(flat)
    flat[np.argsort(np.abs(flat), kind="stable")[: round(sparsity * len(flat))]] = 0
    assert np.array_equal(np.concatenate([after[name].numpy().ravel() for name in names]), flat)


def test_layerwise_magnitude_does_the_same_in_each_matrix(tmp_path):
    cp = as_stored_in(tiny("llama", tmp_path), "bfloat16")
    names = linear_names(cp.model, "encoder")
    before = weights(cp, names)
    after = weights(compress("magnitude_layerwise", cp, sparsity=0.3), names)
    for name in names:
        flat = before[name].numpy().ravel().copy()
        flat[np.argsort(np.abs(flat), kind="stable")[: round(0.3 * flat.size)]] = 0
        assert np.array_equal(after[name].numpy().ravel(), flat)


@pytest.mark.parametrize("method", ONE_SHOT)
def test_only_the_scope_changes(method, tmp_path):
    cp = tiny("bert", tmp_path)
    before = {name: value.clone() for name, value in cp.model.state_dict().items()}
    scope = "attention" if method == "magnitude_attention" else "encoder"
    inside = {f"{name}.weight" for name in linear_names(cp.model, scope)}
    after = compress(method, cp, sparsity=0.5).model.state_dict()
    zeros = sum(int((after[name] == 0).sum()) for name in inside)
    assert zeros == round(0.5 * sum(before[name].numel() for name in inside))
    for name, value in before.items():
        if name not in inside:
            assert torch.equal(after[name], value)
        survived = after[name] != 0
        assert torch.equal(after[name][survived], value[survived])


def test_random_pruning_is_exact_nested_and_even(tmp_path):
    names = linear_names(tiny("bert", tmp_path).model, "encoder")
    gone = {}
    for sparsity in (0.2, 0.5):
        after = weights(compress("random", tiny("bert", tmp_path), sparsity=sparsity), names)
        gone[sparsity] = torch.cat([value.flatten() == 0 for value in after.values()])
        assert int(gone[sparsity].sum()) == round(sparsity * len(gone[sparsity]))
    assert not (gone[0.2] & ~gone[0.5]).any()
    halves = gone[0.5][: len(gone[0.5]) // 2].float().mean()
    assert 0.46 < halves < 0.54  # 7,168 draws: sd 0.006 under a fair draw


def test_existing_zeros_count(tmp_path):
    cp = tiny("bert", tmp_path)
    (name,) = linear_names(cp.model, "encoder")[-1:]
    with torch.no_grad():
        cp.model.get_submodule(name).weight[:, ::2] = 0
    after = weights(compress("random", cp, sparsity=0.3), linear_names(cp.model, "encoder"))
    assert sum(int((value == 0).sum()) for value in after.values()) == round(0.3 * 14336)
    assert (after[name][:, ::2] == 0).all()


def test_random_pruning_follows_its_seed(tmp_path):
    names = linear_names(tiny("bert", tmp_path).model, "encoder")
    first, other = (
        weights(compress("random", tiny("bert", tmp_path), context(seed=seed), sparsity=0.5), names[:1])[names[0]]
        for seed in (1, 2)
    )
    assert not torch.equal(first == 0, other == 0)


@pytest.mark.parametrize("number", [0, 1, 2, 5, 6, 7, 11, 12])
def test_selection_against_a_sort(number):
    tensors = [
        torch.tensor([[3, 70000], [1, 3]]),
        torch.tensor([3, 2**31 - 1, 0]),
        torch.tensor([70000, 70001, 3, 0, 9]),
    ]
    flat = np.concatenate([each.numpy().ravel() for each in tensors])
    wanted = np.zeros(len(flat), dtype=bool)
    wanted[np.argsort(flat, kind="stable")[:number]] = True
    masks = smallest([lambda each=each: each.to(torch.int32) for each in tensors], number)
    assert np.concatenate([mask.numpy().ravel() for mask in masks]).tolist() == wanted.tolist()


def test_magnitude_keys_rise_with_the_magnitude():
    values = torch.tensor([0.0, -0.0, 1e-45, -1e-38, 1e-3, -0.5, 0.5000001, 1.0, -3e38, float("inf")])
    keys = magnitude(values).tolist()
    assert keys == sorted(keys)
    assert keys[0] == keys[1] == 0
    assert len(set(keys)) == len(keys) - 1


def test_random_keys_are_the_same_for_the_same_seed():
    first, other, third = (random_keys(seed)([torch.ones(50)])[0]() for seed in (1, 1, 2))
    assert torch.equal(first, other)
    assert not torch.equal(first, third)


def test_random_init_keeps_only_the_tokenizer(tmp_path):
    cp = tiny("bert", tmp_path)
    before = {name: value.clone() for name, value in cp.model.named_parameters()}
    after = compress("random_init", cp)
    changed = {name for name, value in after.model.named_parameters() if not torch.equal(value, before[name])}
    assert changed >= {name for name in before if before[name].ndim > 1}
    assert "bert.embeddings.word_embeddings.weight" in changed
    assert after.tokenizer is cp.tokenizer
    spread = after.model.get_parameter("bert.embeddings.word_embeddings.weight").std().item()
    assert abs(spread / cp.model.config.initializer_range - 1) < 0.1


def test_random_init_follows_its_seed(tmp_path):
    one, same, other = (logits(compress("random_init", tiny("bert", tmp_path), context(seed=s))) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_random_init_refuses_a_compressed_model(tmp_path):
    with pytest.raises(UserError, match="uncompressed"):
        compress("random_init", compress("int8_dynamic", tiny("bert", tmp_path)))


def test_pruning_after_quantizing_is_refused(tmp_path):
    with pytest.raises(UserError, match="before quantizing"):
        compress("magnitude_global", compress("int8_dynamic", tiny("bert", tmp_path)), sparsity=0.5)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0])
@pytest.mark.parametrize("method", [*ONE_SHOT, "iterative_magnitude", "head_pruning"])
def test_sparsity_has_bounds(method, sparsity):
    with pytest.raises(ValidationError):
        registry.load("compression", method).Settings(sparsity=sparsity)


def test_every_method_has_a_card_and_says_what_it_is():
    families = {"unstructured", "structured", "quantization", "low_rank", "weight_sharing", "distillation", "hybrid"}
    families |= {"controls", "given_checkpoints"}
    for name in registry.names("compression"):
        module = registry.load("compression", name)
        assert registry.modules("compression").family(name) in families
        assert isinstance(module.NEEDS_TASK, bool)
        assert "Limits:" in module.__doc__


@pytest.mark.parametrize("method", ["head_pruning", "iterative_magnitude"])
def test_a_task_without_examples_is_reported(method, tmp_path):
    empty = dataclasses.replace(task(tmp_path, "classification"), train=None)
    with pytest.raises(UserError, match="a_classification"):
        compress(method, tiny("bert", tmp_path), context(empty), sparsity=0.5)


def test_an_unknown_stored_form_is_reported(tmp_path):
    cp = checkpoints.load(tiny_bert("encoder", tmp_path / "cp"))
    checkpoints.save(dataclasses.replace(cp, structure={"two_to_four": {}}), tmp_path / "new")
    with pytest.raises(UserError, match="two_to_four"):
        checkpoints.load(tmp_path / "new")


@pytest.mark.parametrize(("method", "settings"), [case for case in CASES if case not in AS_IS])
def test_a_task_without_training_cannot_train_or_score_development_examples(method, settings, tmp_path):
    cp = tiny("llama", tmp_path)
    with pytest.raises(UserError, match="causal_lm"):
        compress(method, cp, context(task(tmp_path, "causal_lm"), source=lambda: cp), **settings)
