"""The inputs of layers that calibrated methods get: against plain hooks, one text at a time, on every architecture."""

import copy
import dataclasses

import pytest
import torch
import zoo
from compression_case import context, task, tiny
from every_architecture import ALL, built

from fairshrink.compression._shared.calibration import Text, calibration_texts, walk
from fairshrink.compression._shared.moments import Moments, output_error
from fairshrink.compression._shared.settings import CalibratedSettings
from fairshrink.data.examples import frames
from fairshrink.errors import UserError
from fairshrink.models.architecture.blocks import blocks, linear_names
from fairshrink.models.architecture.linear import matrix
from fairshrink.models.checkpoint import Checkpoint

EVERY = {"sums", "absolutes", "squares", "largest", "products"}
LENGTHS = (11, 3, 1, 11, 6, 2, 9)


def texts(cp, lengths=LENGTHS):
    generator = torch.Generator().manual_seed(2)
    n = cp.model.get_input_embeddings().num_embeddings
    return [Text(torch.randint(5, n, (length,), generator=generator).tolist()) for length in lengths]


def inputs_one_by_one(cp, chosen, names):
    """All inputs [k, in] of each layer, by hooks, each text run alone."""
    found = {name: [] for name in names}
    handles = [
        cp.model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: found[name].append(args[0].reshape(-1, args[0].shape[-1]).double())
        )
        for name in names
    ]
    with torch.no_grad():
        for text in chosen:
            cp.model(input_ids=torch.tensor([text.ids]), attention_mask=torch.ones(1, len(text.ids), dtype=torch.long))
    for handle in handles:
        handle.remove()
    return {name: torch.cat(rows) for name, rows in found.items()}


def halve(layer):
    with torch.no_grad():
        matrix(layer)[::2] *= 0.5


def check(cp, chosen, names):
    """Each stage's moments are those of a model whose earlier stages have been changed; `halve` changes each."""
    slow, seen = copy.deepcopy(cp), []
    for stage in walk(cp, chosen, names, EVERY):
        rows = inputs_one_by_one(slow, chosen, [each.name for each in stage])
        for each in stage:
            x = rows[each.name]
            assert each.inputs.count == len(x)
            wanted = {"sums": x.sum(0), "absolutes": x.abs().sum(0), "squares": (x**2).sum(0)}
            wanted["largest"] = x.abs().amax(0)
            for moment, values in (wanted | {"products": x.t() @ x}).items():
                scale = float(values.abs().max()) + 1e-6
                assert torch.allclose(each.inputs[moment].double(), values, rtol=1e-4, atol=2e-5 * scale), moment
            halve(each.layer)
            halve(slow.model.get_submodule(each.name))
            seen.append(each.name)
    assert sorted(seen) == sorted(names)


@pytest.mark.parametrize("name", ALL)
def test_inputs_of_all_layers_are_those_of_texts_run_alone(name, monkeypatch):
    monkeypatch.setattr("fairshrink.compression._shared.calibration.TOKENS_PER_BATCH", 24)
    cp = built(name, 0)
    check(cp, texts(cp), linear_names(cp.model, "all"))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("t5", {"feed_forward_proj": "gated-gelu"}),
        ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
        ("deberta-v2", {"share_att_key": False, "position_buckets": -1}),
        ("bloom", {"apply_residual_connection_post_layernorm": True}),
    ],
)
def test_variants(name, config, monkeypatch):
    monkeypatch.setattr("fairshrink.compression._shared.calibration.TOKENS_PER_BATCH", 24)
    cp = Checkpoint(zoo.built(name, "encoder", with_decoder=False, **config), zoo._ALL[name].tokenizer(), "encoder")
    check(cp, texts(cp), linear_names(cp.model, "encoder"))


def test_layers_that_always_get_the_same_inputs_share_what_is_computed_of_them():
    cp = built("qwen3", 0)
    stage, _ = walk(cp, texts(cp), linear_names(cp.model, "encoder"), {"products"})
    kinds = {each.name.rpartition(".")[2]: id(each.inputs) for each in stage}
    assert kinds["q_proj"] == kinds["k_proj"] == kinds["v_proj"]
    assert kinds["gate_proj"] == kinds["up_proj"]
    assert len(set(kinds.values())) == 4


def test_what_is_computed_of_inputs_is_computed_once():
    asked, moments = [], Moments(1, {"products": torch.eye(2)})

    def times(products, factor):
        asked.append(factor)
        return products * factor

    for factor in (2, 2, 3):
        assert torch.equal(moments.once(times, "products", factor), torch.eye(2) * factor)
    assert asked == [2, 3]


def test_batches_make_no_difference(monkeypatch):
    cp, found = built("bert", 0), []
    for tokens in (1, 1000):
        monkeypatch.setattr("fairshrink.compression._shared.calibration.TOKENS_PER_BATCH", tokens)
        stages = walk(cp, texts(cp), linear_names(cp.model, "encoder"), {"products"})
        found.append([each.inputs["products"] for stage in stages for each in stage])
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-4) for one, other in zip(*found, strict=True))


def test_layers_may_be_replaced_on_the_way(monkeypatch):
    """The next block gets the inputs that the layers now in the model give; forward passes are the model's again."""
    cp = built("gpt2", 0)
    first, second = blocks(cp.model)
    walked = walk(cp, texts(cp), [first.down, second.up], {"sums"})
    (layer,) = next(walked)
    zero = torch.nn.Linear(*layer.layer.weight.shape)
    torch.nn.init.zeros_(zero.weight)
    torch.nn.init.ones_(zero.bias)
    cp.model.set_submodule(layer.name, zero)
    (later,) = next(walked)
    (rows,) = inputs_one_by_one(cp, texts(cp), [second.up]).values()
    assert torch.allclose(later.inputs["sums"], rows.sum(0), rtol=1e-4, atol=1e-4)
    assert list(walked) == []
    assert not any("forward" in vars(module) for module in cp.model.modules())


def test_change_of_outputs():
    generator = torch.Generator().manual_seed(0)
    change, x = torch.randn(3, 4, generator=generator), torch.randn(20, 4, generator=generator)
    assert output_error(change, x.t() @ x) == pytest.approx(float((x @ change.t()).square().sum()), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"), [("bert", "classification"), ("llama", "causal_lm"), ("roberta", "masked_lm")]
)
def test_texts_are_training_examples(name, kind, tmp_path):
    cp, about = tiny(name, tmp_path), task(tmp_path, kind)
    parts = frames(about)
    chosen = calibration_texts(
        cp, CalibratedSettings(calibration_items=9, calibration_length=7), context(about), "wanda"
    )
    assert len(chosen) == 9 and max(len(text.ids) for text in chosen) <= 7
    beginnings = {" ".join(map(str, text.ids)) for text in chosen}
    start = [cp.tokenizer.bos_token_id] if name == "llama" else []
    whole = {" ".join(map(str, (start + cp.tokenizer(text)["input_ids"])[:6])) for text in parts["train"]["text"]}
    assert {" ".join(each.split()[:6]) for each in beginnings} <= whole
    more = calibration_texts(cp, CalibratedSettings(calibration_items=10**6), context(about), "wanda")
    assert len(more) == len(parts["train"])


def test_texts_differ_by_split_and_need_examples(tmp_path):
    cp, about = tiny("bert", tmp_path), task(tmp_path, "classification")
    settings = CalibratedSettings(calibration_items=12)
    other = dataclasses.replace(about, seed=about.seed + 1)
    first, again, second = (calibration_texts(cp, settings, context(each), "wanda") for each in (about, about, other))
    assert first == again != second
    with pytest.raises(UserError, match="wanda needs examples: give tasks"):
        calibration_texts(cp, settings, context(dataclasses.replace(about, train=None)), "wanda")


def test_pairs_keep_their_token_types(tmp_path):
    cp = tiny("bert", tmp_path)
    chosen = [Text([2, 6, 7, 3, 8, 3], [0, 0, 0, 0, 1, 1]), Text([2, 6, 3, 9, 3], [0, 0, 0, 1, 1])]
    query = blocks(cp.model)[0].query
    (first, *_), *_ = walk(cp, chosen, [query], {"sums"})
    rows = []
    handle = cp.model.get_submodule(query).register_forward_pre_hook(lambda _, args: rows.append(args[0][0]))
    with torch.no_grad():
        for text in chosen:
            cp.model(input_ids=torch.tensor([text.ids]), token_type_ids=torch.tensor([text.types]))
    handle.remove()
    assert torch.allclose(first.inputs["sums"], torch.cat(rows).sum(0).double(), rtol=1e-5, atol=1e-5)


def test_a_layer_without_inputs_is_named():
    cp = built("bert", 0)
    cp.model.unused = torch.nn.Linear(3, 3)
    with pytest.raises(UserError, match="unused gets no inputs"):
        list(walk(cp, texts(cp), ["unused"], {"sums"}))
