"""Every method on every architecture, against slow definitions; what is saved loads again with equal outputs.

Each method meets each architecture once, the task heads take turns; the full product is in
`benchmarks/architectures.py`. Oracles: numpy over weights that are cut up by hand; a dense model with rounded weights;
a dense model behind closed gates.
"""

import copy
import dataclasses

import numpy as np
import pytest
import torch
import transformers
import zoo
from compression_case import compress, context, logits, reread, task
from every_architecture import ALL, built, checkpoint
from transformers.pytorch_utils import Conv1D

from fairshrink import registry
from fairshrink.compression.structured.head_pruning.gates import importance
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, linear_names
from fairshrink.models.architecture.families import FAMILIES, refusals
from fairshrink.models.architecture.heads import head_units
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.log_probs import causal_log_probs, masked_log_probs
from fairshrink.models.inference.outputs import attention_received
from fairshrink.models.ledger import ledger
from fairshrink.models.stored_forms import int8, removed_heads
from fairshrink.models.support import ARCHITECTURES

WITH_HEADS = [name for name in ALL if not refusals({"model_type": name}, "heads")]
WIDTH = 32
THIRDS = {
    "gpt2": lambda w: np.split(w, 3, axis=1),
    "modernbert": lambda w: np.split(w, 3),
    "phi3": lambda w: np.split(w, [32, 48]),  # four heads for queries, two for keys and values, 8 wide
    "gpt_neox": lambda w: [w.reshape(4, 3, 8, WIDTH)[:, part] for part in range(3)],
    "bloom": lambda w: [w.reshape(4, 3, 8, WIDTH)[:, part] for part in range(3)],
}
"""Query, key and value in the weights of architectures that store them as one matrix, as they are stored."""
HALVES = ("modernbert", "phi3")
VARIANTS = {
    "t5": {"feed_forward_proj": "gated-gelu"},
    "deberta-v2": {"share_att_key": False, "position_buckets": -1},
    "cohere": {"use_qk_norm": False},
    "phi": {"qk_layernorm": False, "num_key_value_heads": 4},
    "gpt2": {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True},
    "mistral": {"head_dim": 16, "sliding_window": None},
    "llama": {"num_key_value_heads": 4, "mlp_bias": True},
    "opt": {"do_layer_norm_before": False, "enable_bias": False},
    "gpt_neox": {"use_parallel_residual": False, "attention_bias": False},
    "bloom": {"apply_residual_connection_post_layernorm": True},
    "albert": {"num_hidden_groups": 2, "inner_group_num": 2},
}
"""Settings with which architectures compute otherwise than the models of the tests usually do."""


def stored(cp: Checkpoint, scope: str) -> dict[str, np.ndarray]:
    return {name: cp.model.get_submodule(name).weight.detach().numpy().copy() for name in linear_names(cp.model, scope)}


def without_nearest_to_zero(parts: list[np.ndarray], number: int) -> None:
    """Set the ``number`` weights nearest to zero to zero in place, the first ones of equal magnitude."""
    flat = np.concatenate([part.ravel() for part in parts])
    flat[np.argsort(np.abs(flat), kind="stable")[:number]] = 0
    for part, values in zip(parts, np.split(flat, np.cumsum([part.size for part in parts])[:-1]), strict=True):
        part[...] = values.reshape(part.shape)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("method", "scope"), [("magnitude_global", "encoder"), ("magnitude_attention", "attention")])
def test_one_threshold(method, scope, name):
    cp = built(name, 0)
    wanted = stored(cp, scope)
    without_nearest_to_zero(list(wanted.values()), round(0.37 * sum(part.size for part in wanted.values())))
    rest = {
        key: value.clone() for key, value in cp.model.state_dict().items() if key.removesuffix(".weight") not in wanted
    }
    after = compress(method, cp, sparsity=0.37)
    for layer, weights in stored(after, scope).items():
        assert np.array_equal(weights, wanted[layer])
    assert all(torch.equal(after.model.state_dict()[key], value) for key, value in rest.items())


@pytest.mark.parametrize("name", ALL)
def test_each_matrix_by_itself(name, tmp_path):
    """Query, key and value, gate and up are matrices of their own, wherever they are stored."""
    cp = built(name, 1)
    wanted = stored(cp, "encoder")
    fused = {block.query for block in blocks(cp.model)} if name in THIRDS else set()
    doubled = {block.up for block in blocks(cp.model)} if name in HALVES else set()
    for layer, weights in wanted.items():
        parts = THIRDS[name](weights) if layer in fused else np.split(weights, 2) if layer in doubled else [weights]
        for part in parts:
            without_nearest_to_zero([part], round(0.41 * part.size))
    after = compress("magnitude_layerwise", cp, sparsity=0.41)
    for layer, weights in stored(after, "encoder").items():
        assert np.array_equal(weights, wanted[layer])
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))


@pytest.mark.parametrize("name", ALL)
def test_random_weights(name):
    cp = built(name, 2)
    before = stored(cp, "encoder")
    after = stored(compress("random", cp, sparsity=0.5), "encoder")
    assert sum(int((weights == 0).sum()) for weights in after.values()) == round(
        0.5 * sum(w.size for w in before.values())
    )
    assert all(np.array_equal(weights[weights != 0], before[layer][weights != 0]) for layer, weights in after.items())


@pytest.mark.parametrize("name", ALL)
def test_noise_has_the_norm_of_its_level_in_each_matrix(name):
    cp = built(name, 3)
    before = stored(cp, "attention")
    after = stored(compress("weight_noise", cp, level=0.2, scope="attention", control_seed=1), "attention")
    for layer, weights in before.items():
        cut = THIRDS.get(name, lambda w: [w])
        for part, noisy in zip(cut(weights), cut(after[layer]), strict=True):
            assert np.linalg.norm(noisy - part) == pytest.approx(0.2 * np.linalg.norm(part), rel=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_weights_of_8_bits(name, tmp_path):
    """The same outputs as a dense model with rounded weights: each output has a scale, also where it is a column."""
    cp = built(name, 0)
    dense = copy.deepcopy(cp)
    for layer in linear_names(dense.model, "all"):
        module = dense.model.get_submodule(layer)
        rows = module.weight.detach().numpy()
        rows = rows.T if isinstance(module, Conv1D) else rows
        scales = np.abs(rows).max(1, keepdims=True) / 127
        rows[...] = np.rint(rows / scales) * scales
    after = compress("int8_weight_only", cp, scope="all")
    assert not [each for each in after.model.modules() if isinstance(each, Conv1D)]
    torch.testing.assert_close(logits(after), logits(dense), rtol=1e-3, atol=1e-4)
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))


@pytest.mark.parametrize("name", ALL)
def test_weights_and_activations_of_8_bits(name):
    before = built(name, 1)
    after = compress("int8_dynamic", copy.deepcopy(before))
    layers = {name: each for name, each in after.model.named_modules() if isinstance(each, int8.Int8Linear)}
    assert list(layers) == linear_names(before.model, "encoder") == after.structure["int8"]["modules"]
    difference = (logits(after) - logits(before)).abs().mean() / logits(before).abs().mean()
    assert 1e-4 < difference < 0.15
    counted = ledger(after, before)
    prunable = sum(before.model.get_submodule(layer).weight.numel() for layer in layers)
    assert counted["prunable_params"] == prunable
    assert counted["flops_per_token"] == ledger(before, before)["flops_per_token"]
    assert 8 <= counted["effective_bits"] < 12  # 8 bits and a scale for each row of 32 or 48


def behind_closed_gates(cp: Checkpoint, kept: dict[str, list[int]]) -> torch.Tensor:
    """Outputs of the dense model whose other units' outputs are multiplied by 0 before the output projection."""
    hooks = []
    for number, block in enumerate(blocks(cp.model)):
        gates = torch.zeros(block.kv_heads)
        gates[kept.get(str(number), list(range(block.kv_heads)))] = 1

        def close(module, inputs, gates=gates):
            units = inputs[0].unflatten(-1, (len(gates), -1))
            return ((units * gates[:, None]).flatten(-2), *inputs[1:])

        hooks.append(cp.model.get_submodule(block.output).register_forward_pre_hook(close))
    outputs = padded(cp)
    for hook in hooks:
        hook.remove()
    return outputs


def padded(cp: Checkpoint) -> torch.Tensor:
    """Outputs for texts of three lengths, of the words that are there."""
    words = torch.randint(5, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(12) < torch.tensor([[12], [7], [10]])).long()
    with torch.inference_mode():
        out = cp.model(input_ids=words, attention_mask=mask)
    if cp.head in ("regression", "classification"):
        return out.logits
    return (out.last_hidden_state if cp.head == "encoder" else out.logits)[mask.bool()]


@pytest.mark.parametrize("name", WITH_HEADS)
def test_removed_heads_are_closed_gates(name, tmp_path):
    """Uneven numbers: half of the first layer's units and all but one of the second's; again after saving."""
    cp = built(name, 2)
    units = head_units(cp.model)
    left = [list(range(1, number, 2)) if layer == 0 else [number - 1] for layer, number in enumerate(units)]
    kept = {str(layer): each for layer, each in enumerate(left)}
    before, gated = padded(cp), behind_closed_gates(cp, kept)
    assert (before - gated).abs().max() > 0.01
    dense = sum(value.numel() for value in cp.model.state_dict().values())
    removed_heads.apply(cp.model, kept)
    assert head_units(cp.model) == list(map(len, left))
    after = dataclasses.replace(cp, structure={"removed_heads": kept})
    torch.testing.assert_close(padded(after), gated, rtol=1e-4, atol=3e-5)
    assert sum(value.numel() for value in cp.model.state_dict().values()) < dense
    assert torch.equal(padded(copy.deepcopy(after)), padded(after))
    assert torch.equal(padded(reread(after, tmp_path / "after")), padded(after))


@pytest.mark.parametrize("name", VARIANTS)
def test_removed_heads_are_closed_gates_in_variants(name):
    cp = Checkpoint(zoo.built(name, "encoder", with_decoder=False, **VARIANTS[name]), None, "encoder")
    kept = {str(layer): list(range(1, units, 2)) for layer, units in enumerate(head_units(cp.model))}
    before, gated = padded(cp), behind_closed_gates(cp, kept)
    removed_heads.apply(cp.model, kept)
    torch.testing.assert_close(padded(cp), gated, rtol=1e-4, atol=3e-5)
    assert (before - gated).abs().max() > 0.01


@pytest.mark.parametrize("name", WITH_HEADS)
def test_heads_that_are_removed_one_after_the_other(name):
    """Numbers of what is left are those of the original model, also for the biases that belong to heads."""
    cp = built(name, 3)
    units = head_units(cp.model)
    cp = dataclasses.replace(cp, model=zoo_wider(name) if min(units) < 3 else cp.model)
    dense = copy.deepcopy(cp)
    removed_heads.apply(cp.model, {"0": [0, 2, 3]})
    removed_heads.apply(cp.model, {"0": [1, 2]})
    assert removed_heads.renumbered({"0": [0, 2, 3]}, {"0": [1, 2]}) == {"0": [2, 3]}
    torch.testing.assert_close(padded(cp), behind_closed_gates(dense, {"0": [2, 3]}), rtol=1e-4, atol=3e-5)


def zoo_wider(name: str) -> torch.nn.Module:
    """A model of this architecture with four key and value heads and eight query heads."""
    heads = ARCHITECTURES[name].heads
    return zoo.built(name, heads[(ALL.index(name) + 3) % len(heads)], num_attention_heads=8, num_key_value_heads=4)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_heads_are_removed_where_the_model_is(name):
    """On a device without numbers nothing of another device can have been mixed in."""
    model = zoo.built(name, "encoder", with_decoder=False).to("meta")
    removed_heads.apply(model, {"0": [1]})
    assert {each.device.type for each in model.parameters()} == {"meta"}
    assert head_units(model)[0] == 1


@pytest.mark.parametrize("name", WITH_HEADS)
def test_heads_chosen_at_random(name):
    cp = built(name, 1)
    total = sum(head_units(cp.model))
    after = compress("random_heads", cp, sparsity=0.5 if total > 2 else 0.25, control_seed=0)
    left = sum(head_units(after.model))
    assert left == total - round(total * (0.5 if total > 2 else 0.25))


@pytest.mark.parametrize("name", [name for name in ALL if name not in WITH_HEADS])
@pytest.mark.parametrize(("method", "settings"), [("random_heads", {"control_seed": 0}), ("head_pruning", {})])
def test_heads_that_stay_are_refused(name, method, settings, tmp_path):
    with pytest.raises(UserError, match=f"'{name}' cannot be removed"):
        compress(method, built(name, 0), context(task(tmp_path, "regression")), sparsity=0.5, **settings)


@pytest.mark.parametrize("name", [name for name in WITH_HEADS if "classification" in ARCHITECTURES[name].heads])
def test_least_important_heads(name, tmp_path):
    """The importance of a unit of the first layer is the mean slope of the loss as its output is scaled."""
    cp, about = copy.deepcopy(checkpoint(name, "classification")), task(tmp_path, "classification")
    cp.model.double()
    frame = frames(about)["train"].head(2)
    module = registry.load("tasks", "classification")
    alive = [np.ones(units, dtype=bool) for units in head_units(cp.model)]
    found = importance(cp, module.loss(cp, frame, about.settings), alive, seed=0)
    block = blocks(cp.model)[0]
    slopes = []
    for side in (1, -1):
        gates = torch.ones(block.kv_heads, dtype=torch.float64)
        gates[1] += side * 1e-3
        hook = cp.model.get_submodule(block.output).register_forward_pre_hook(
            lambda _, inputs, gates=gates: (
                (inputs[0].unflatten(-1, (len(gates), -1)) * gates[:, None]).flatten(-2),
                *inputs[1:],
            )
        )
        with torch.inference_mode():
            slopes.append([module.loss(cp, frame, about.settings)([row]).item() for row in range(2)])
        hook.remove()
    wanted = np.abs(np.subtract(*slopes) / 2e-3).mean()
    assert found[0][1] == pytest.approx(wanted, rel=5e-3)
    cp.model.float()
    after = compress("head_pruning", cp, context(about), sparsity=0.25, items=4)
    assert sum(head_units(after.model)) == sum(map(len, alive)) - round(0.25 * sum(map(len, alive)))


@pytest.mark.parametrize("name", [name for name in ALL if "classification" in ARCHITECTURES[name].heads])
def test_iterative_pruning_removes_the_smallest_and_trains_the_rest(name, tmp_path):
    cp = checkpoint(name, "classification")
    wanted = stored(cp, "encoder")
    without_nearest_to_zero(list(wanted.values()), round(0.5 * sum(part.size for part in wanted.values())))
    about = context(task(tmp_path, "classification", train_items=4), source=lambda: copy.deepcopy(cp))
    after = stored(compress("iterative_magnitude", copy.deepcopy(cp), about, sparsity=0.5, rounds=1), "encoder")
    for layer, weights in after.items():
        assert np.array_equal(weights == 0, wanted[layer] == 0)
    assert any(not np.array_equal(weights, wanted[layer]) for layer, weights in after.items())


def test_all_architectures_are_in_the_table():
    assert set(ALL) <= set(FAMILIES)


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind not in ALL])
def test_copies_of_other_architectures_lose_heads_as_they_do(kind):
    """Architectures of the table without a model of their own in the tests."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, vocab_size=60, pad_token_id=0, **zoo._BERT)
    cp = Checkpoint(transformers.AutoModel.from_config(config).eval(), zoo._words(), "encoder")
    gated = behind_closed_gates(cp, {"0": [1, 2], "1": [3]})
    removed_heads.apply(cp.model, {"0": [1, 2], "1": [3]})
    torch.testing.assert_close(padded(cp), gated, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_attention_can_be_read_from_models_with_fewer_heads(name):
    """Layers with other numbers of heads are averages over the heads that they have."""
    cp = copy.deepcopy(checkpoint(name, "encoder"))
    removed_heads.apply(cp.model, {"0": [1]})
    words = list(range(5, 13))
    (received,) = attention_received(cp, [words])
    assert received.shape == (8,) and received.sum() == pytest.approx(1, abs=1e-5)
    assert min(received) >= 0 and np.ptp(received) > 1e-4


@pytest.mark.parametrize("name", ALL)
def test_other_weights(name, tmp_path):
    """Random ones by the architecture's own method, which load again; and of the same model computed otherwise none."""
    cp = built(name, 2)
    same = compress("noise_floor", cp)
    assert same.model is cp.model and same.batch_share == 0.5
    before = stored(cp, "all")
    after = compress("random_init", cp)
    assert all((weights != before[layer]).any() for layer, weights in stored(after, "all").items())
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))


@pytest.mark.parametrize("name", ALL)
def test_fixed_outputs(name, tmp_path):
    """The same for every word or text: the most frequent label, or no preference."""
    heads = ARCHITECTURES[name].heads
    if "classification" in heads:
        constant = copy.deepcopy(checkpoint(name, "classification"))
        outputs = logits(compress("constant", constant, context(task(tmp_path, "classification"))))
        assert (outputs == outputs[:1]).all() and outputs[0].exp().sum() == pytest.approx(1, abs=1e-5)
    for head in {"masked_lm", "causal_lm"} & set(heads):
        guesser = compress("uniform", copy.deepcopy(checkpoint(name, head)))
        (ids,) = torch.randint(5, 50, (1, 9)).tolist()
        found = (
            causal_log_probs(guesser, [ids])[0] if head == "causal_lm" else masked_log_probs(guesser, [ids], [2], [7])
        )
        assert found == pytest.approx(-np.log(guesser.model.config.vocab_size), abs=1e-5)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (("other_seed", "shuffled_labels", "trained_further")[number % 3], name)
        for number, name in enumerate(name for name in ALL if "classification" in ARCHITECTURES[name].heads)
    ],
)
def test_controls_that_train(method, name, tmp_path):
    cp = checkpoint(name, "classification")
    about = context(task(tmp_path, "classification", train_items=4), source=lambda *_: copy.deepcopy(cp))
    after = compress(method, copy.deepcopy(cp), about)
    assert not torch.equal(logits(after), logits(cp)) and logits(after).isfinite().all()
    assert torch.equal(logits(after), logits(reread(after, tmp_path / "after")))
