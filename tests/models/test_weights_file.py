"""Checkpoints on disk: sparse matrices lose nothing and save bytes; plain transformers loads right or not at all."""

import json
import weakref

import numpy as np
import pytest
import torch
import transformers
from compression_case import as_stored_in, compress, context, logits, reread, task, tensor_bytes, tensors_in, tiny
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import weights_file
from fairshrink.models.architecture.blocks import linear_names

AUTO = {
    "classification": transformers.AutoModelForSequenceClassification,
    "masked_lm": transformers.AutoModelForMaskedLM,
    "causal_lm": transformers.AutoModelForCausalLM,
}


def test_a_sparse_matrix_by_hand(tmp_path):
    """Entries 1, 3, 4 and 9 of ten: bits 2 + 8 + 16 in the first byte, 2 in the second."""
    values = torch.zeros(2, 5)
    values.view(-1)[[1, 3, 4, 9]] = torch.tensor([1.0, -2.0, float("nan"), 4.0])
    weights_file.write({"a": values, "b": torch.zeros(40)}, {"a": "x", "b": "y"}, tmp_path, plain=True)
    stored = load_file(tmp_path / "compressed-x.safetensors")
    assert load_file(tmp_path / "compressed-y.safetensors")["b"].shape == (40,)
    assert len(list(tmp_path.iterdir())) == 2
    assert stored["a.bitmask"].tolist() == [26, 2] and stored["a.bitmask"].dtype == torch.uint8
    assert torch.equal(stored["a.values"].nan_to_num(7), torch.tensor([1.0, -2.0, 7.0, 4.0]))
    assert len(stored) == 2
    assert weights_file.stored_bits((2, 5), 4, 32) == 16 + 4 * 32


@pytest.mark.parametrize("shape", [(7, 3), (8, 8), (2, 3, 5), (1, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_nothing_is_lost(shape, dtype, share, tmp_path):
    drawn = np.random.default_rng(1)
    values = (
        torch.tensor(drawn.integers(1, 100, shape)).to(dtype).masked_fill(torch.tensor(drawn.random(shape) < share), 0)
    )
    module = torch.nn.Module()
    module.register_buffer("x", torch.full(shape, 3).to(dtype))
    weights_file.write({"x": values}, {"x": "rest"}, tmp_path, plain=True)
    weights_file.fill(module, tmp_path, set())
    assert torch.equal(module.x, values)
    sizes = sum(each.numel() * each.element_size() for each in tensors_in(tmp_path).values())
    bits = values.element_size() * 8
    assert sizes * 8 == weights_file.stored_bits(shape, int((values != 0).sum()), bits) <= values.numel() * bits


@pytest.mark.parametrize(("name", "dtype"), [("bert", "float32"), ("llama", "bfloat16")])
def test_half_of_the_weights_take_at_most_65_percent(name, dtype, tmp_path):
    cp = as_stored_in(tiny(name, tmp_path), dtype)
    width = {"float32": 4, "bfloat16": 2}[dtype]
    names = linear_names(cp.model, "encoder")
    dense = sum(cp.model.get_submodule(each).weight.numel() for each in names) * width
    after = compress("magnitude_layerwise", cp, sparsity=0.5)
    checkpoints.save(after, tmp_path / "after")
    stored = tensors_in(tmp_path / "after")
    taken = sum(
        value.numel() * value.element_size()
        for key, value in stored.items()
        if key.removesuffix(".bitmask").removesuffix(".values").removesuffix(".weight") in names
    )
    assert taken <= 0.65 * dense
    again = checkpoints.load(tmp_path / "after")
    assert all(torch.equal(value, again.model.state_dict()[key]) for key, value in after.model.state_dict().items())


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("magnitude_global", {"sparsity": 0.5}),
        ("magnitude_global", {"sparsity": 0.0}),
        ("head_pruning", {"sparsity": 0.5}),
        ("int8_weight_only", {}),
        ("int8_dynamic", {}),
        ("random_init", {}),
    ],
)
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_plain_transformers_loads_right_or_not_at_all(name, method, settings, tmp_path):
    cp = tiny(name, tmp_path)
    about = context(task(tmp_path, "classification" if name == "bert" else "causal_lm"))
    after = compress(method, cp, about, **settings)
    expected = logits(after)
    assert torch.equal(logits(reread(after, tmp_path / "after")), expected)
    for auto in (AUTO[cp.head], transformers.AutoModel, type(cp.model)):
        if method == "random_init" or settings.get("sparsity") == 0.0:
            loaded = auto.from_pretrained(tmp_path / "after").eval()
            assert auto is transformers.AutoModel or torch.allclose(logits(_as(loaded, cp)), expected, atol=1e-6)
        else:
            with pytest.raises(OSError, match=r"no file named model\.safetensors"):
                auto.from_pretrained(tmp_path / "after")


def _as(model, cp):
    return checkpoints.Checkpoint(model, cp.tokenizer, cp.head, cp.labels)


def test_saving_again_leaves_no_other_weights(tmp_path):
    cp = tiny("bert", tmp_path)
    before = logits(cp)
    checkpoints.save(cp, tmp_path / "x")
    checkpoints.save(compress("random", tiny("bert", tmp_path), sparsity=0.5), tmp_path / "x")
    assert {each.name.partition("-")[0] for each in (tmp_path / "x").glob("*.safetensors*")} == {"compressed"}
    checkpoints.save(cp, tmp_path / "x")
    assert {each.name.partition("-")[0] for each in (tmp_path / "x").glob("*.safetensors")} == {"model"}
    assert torch.equal(logits(checkpoints.load(tmp_path / "x")), before)


def test_an_index_says_where_each_tensor_is(tmp_path):
    folder = checkpoint_of(tiny("bert", tmp_path), tmp_path / "x")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for file in set(index["weight_map"].values()):
        assert load_file(folder / file).keys() == {key for key, value in index["weight_map"].items() if value == file}
    assert set(index["weight_map"]) == tensors_in(folder).keys()
    assert index["metadata"]["total_size"] == tensor_bytes(folder)


def checkpoint_of(cp, folder):
    checkpoints.save(cp, folder)
    return folder


@pytest.mark.parametrize(("method", "settings"), [("magnitude_global", {"sparsity": 0.5}), ("random_init", {})])
def test_checkpoints_of_format_1_are_read(method, settings, tmp_path):
    """All tensors in one file, whose name says whether plain transformers may read it; no index."""
    after = compress(method, tiny("bert", tmp_path), context(task(tmp_path, "classification")), **settings)
    folder = checkpoint_of(after, tmp_path / "old")
    tensors, names = tensors_in(folder), [each.name for each in folder.glob("*.safetensors*")]
    for name in names:
        (folder / name).unlink()
    save_file(tensors, folder / f"{names[0].partition('-')[0]}.safetensors", metadata={"format": "pt"})
    about = json.loads((folder / "checkpoint.json").read_text())
    assert about["format"] == 2
    (folder / "checkpoint.json").write_text(json.dumps(about | {"format": 1}))
    assert torch.equal(logits(checkpoints.load(folder)), logits(after))


@pytest.mark.parametrize("damage", ["short mask", "short values", "values absent", "another tensor", "in two files"])
def test_weights_that_do_not_fit_are_refused(damage, tmp_path):
    checkpoints.save(compress("random", tiny("bert", tmp_path), sparsity=0.5), tmp_path / "x")
    path = tmp_path / "x" / "compressed-attention.safetensors"
    stored = load_file(path)
    name = next(key for key in stored if key.endswith(".values"))
    mask = name.replace(".values", ".bitmask")
    if damage == "short mask":
        stored[mask] = stored[mask][:-1].clone()
    elif damage == "short values":
        stored[name] = stored[name][:-1].clone()
    elif damage == "values absent":
        del stored[name]
    elif damage == "another tensor":
        stored["other"] = torch.zeros(2)
    else:
        stored |= load_file(tmp_path / "x" / "compressed-embeddings.safetensors")
    save_file(stored, path)
    expected = "is in two files" if damage == "in two files" else "weights and structure do not match"
    with pytest.raises(UserError, match=expected):
        checkpoints.load(tmp_path / "x")


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("magnitude_layerwise", {"sparsity": 0.5}),
        ("int8_weight_only", {}),
        ("int4_weight_only", {"group": 16, "embeddings": True}),
        ("kmeans", {"clusters": 16, "embeddings": True}),
        ("svd", {"parameters_kept": 0.5}),
    ],
)
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_beside_the_model_there_is_never_more_than_one_matrix(name, method, settings, tmp_path, monkeypatch):
    """No whole dense copy on the way: of the tensors of the file those of one matrix, which is no larger than dense."""
    before = tiny(name, tmp_path)
    largest = max(value.numel() * value.element_size() for value in before.model.state_dict().values())
    after = compress(method, before, **settings)
    checkpoints.save(after, tmp_path / "after")
    alive: list[weakref.ref[torch.Tensor]] = []
    together: list[int] = []

    class Watched:
        def __init__(self, *args, **options):
            self.file = safe_open(*args, **options)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def keys(self):
            return self.file.keys()

        def get_tensor(self, key):
            value = self.file.get_tensor(key)
            alive.append(weakref.ref(value))
            there = [tensor for each in alive if (tensor := each()) is not None]
            together.append(sum(each.numel() * each.element_size() for each in there))
            return value

    monkeypatch.setattr(weights_file, "safe_open", Watched)
    again = checkpoints.load(tmp_path / "after")
    assert len(together) == len(tensors_in(tmp_path / "after"))
    assert 0 < max(together) <= largest
    assert torch.equal(logits(again), logits(after))
