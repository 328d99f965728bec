"""Files of the parts of a model: what a compression left alone has the same bytes as in the baseline."""

import copy
import re

import pytest
import torch
from compression_case import compress, context, task, tensors_in, tiny
from every_architecture import ALL, built
from safetensors.torch import load_file

from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.parts import PARTS, parts

BY_NAME = {
    "bert": {
        "embeddings": r"bert\.embeddings\.word_embeddings\.weight",
        "attention": r"bert\.encoder\.layer\.\d\.attention\.(self\.(query|key|value)|output\.dense)\.(weight|bias)",
        "feed_forward": r"bert\.encoder\.layer\.\d\.(intermediate|output)\.dense\.(weight|bias)",
    },
    "llama": {
        "embeddings": r"model\.embed_tokens\.weight",
        "attention": r"model\.layers\.\d\.self_attn\.[qkvo]_proj\.weight",
        "feed_forward": r"model\.layers\.\d\.mlp\.(gate|up|down)_proj\.weight",
    },
}
LEFT_ALONE = [
    ("random", {"sparsity": 0.5}, {"embeddings", "rest"}),
    ("magnitude_layerwise", {"sparsity": 0.5, "scope": "attention"}, {"embeddings", "feed_forward", "rest"}),
    ("magnitude_layerwise", {"sparsity": 0.5, "scope": "feed_forward"}, {"embeddings", "attention", "rest"}),
    ("wanda", {"sparsity": 0.5, "calibration_items": 8}, {"embeddings", "rest"}),
    ("head_pruning", {"sparsity": 0.5, "items": 8}, {"embeddings", "feed_forward", "rest"}),
    ("neuron_pruning", {"sparsity": 0.5, "calibration_items": 8}, {"embeddings", "attention", "rest"}),
    ("int8_dynamic", {}, {"embeddings", "rest"}),
    ("int4_weight_only", {"group": 16}, {"embeddings", "rest"}),
    ("int4_weight_only", {"group": 16, "embeddings": True}, {"rest"}),
    ("awq", {"group": 16, "calibration_items": 8}, {"embeddings", "rest"}),
    ("gptq", {"group": 16, "calibration_items": 8}, {"embeddings", "rest"}),
    ("kmeans", {"clusters": 16}, {"embeddings", "rest"}),
    ("svd", {"parameters_kept": 0.5}, {"embeddings", "rest"}),
    ("layer_tying", {"share": 2}, {"embeddings", "rest"}),
]


def files(cp, folder):
    """The bytes of each part's file."""
    checkpoints.save(cp, folder)
    return {re.split(r"[-.]", each.name)[1]: each.read_bytes() for each in folder.glob("*.safetensors")}


@pytest.mark.parametrize("name", BY_NAME)
def test_parts_by_the_names_of_an_architecture(name, tmp_path):
    cp = tiny(name, tmp_path)
    found = parts(cp.model)
    for each in cp.model.state_dict():
        expected = [part for part, pattern in BY_NAME[name].items() if re.fullmatch(pattern, each)] or ["rest"]
        if each != "lm_head.weight":  # tied to the embeddings, hence never stored
            assert found[each] == expected[0]
    assert set(found.values()) == set(PARTS)
    files(cp, tmp_path / "x")
    for part in PARTS:
        (file,) = (tmp_path / "x").glob(f"model-{part}.safetensors")
        assert file.stat().st_size > 0


@pytest.mark.parametrize(("method", "settings", "same"), LEFT_ALONE)
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_what_a_compression_leaves_alone_has_the_same_bytes(name, method, settings, same, tmp_path):
    before = tiny(name, tmp_path)
    about = context(task(tmp_path, "classification" if name == "bert" else "causal_lm"))
    was = files(before, tmp_path / "before")
    now = files(compress(method, copy.deepcopy(before), about, **settings), tmp_path / "after")
    assert was.keys() == now.keys() == set(PARTS)
    assert {part for part in PARTS if was[part] == now[part]} == same


@pytest.mark.parametrize("name", ALL)
def test_in_every_architecture_8_bit_layers_leave_all_else_alone(name, tmp_path):
    cp = built(name, 1)
    was = files(copy.deepcopy(cp), tmp_path / "before")
    now = files(compress("int8_weight_only", cp), tmp_path / "after")
    assert {part for part in was if was[part] != now[part]} == {"attention", "feed_forward"}
    inside = {each for block in blocks(cp.model) for each in block.linears}
    for part in ("attention", "feed_forward"):
        owners = {key.rpartition(".")[0] for key in tensors_of(tmp_path / "after", part)}
        assert owners <= inside
        assert owners
    embeddings = tensors_of(tmp_path / "before", "embeddings")
    assert [len(each) for each in embeddings.values()] == [cp.model.get_input_embeddings().num_embeddings]


def tensors_of(folder, part):
    (file,) = folder.glob(f"*-{part}.safetensors")
    return load_file(file)


def test_other_tasks_and_splits_have_the_same_file_of_frozen_embeddings(tmp_path):
    """A head, and training all but the embeddings, change the other files alone."""
    one = tiny("bert", tmp_path)
    other = tiny("bert", tmp_path, "masked_lm")
    other.model.load_state_dict(one.model.state_dict(), strict=False)
    with torch.no_grad():
        for key, parameter in other.model.named_parameters():
            if "embeddings" not in key:
                parameter.add_(0.1)
    other.model.tie_weights()
    was, now = files(one, tmp_path / "one"), files(other, tmp_path / "other")
    assert {part for part in PARTS if was[part] == now[part]} == {"embeddings"}
    assert "cls.predictions.decoder.weight" not in tensors_in(tmp_path / "other")
