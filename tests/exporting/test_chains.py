"""Chains of methods, on encoders and causal models with every task head, as plain transformers and GGUF find them."""

import json

import pytest
import torch
import transformers
from compression_case import as_head, compress, context, few_of, logits, task
from gguf_files import plainly
from tiny import tiny_bert, tiny_llama, tiny_roberta
from zoo import AUTO

from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint

CHAINS = (
    ("bert", "regression", ("magnitude_global", "recovery", "int8_weight_only")),
    ("bert", "classification", ("layer_dropping", "head_pruning", "kmeans")),
    ("roberta", "masked_lm", ("layer_tying", "int4_weight_only")),
    ("roberta", "masked_lm", ("head_pruning", "linear_quantization")),
    ("llama", "classification", ("svd", "recovery")),
    ("llama", "regression", ("neuron_pruning", "awq")),
    ("llama", "causal_lm", ("wanda", "gptq")),
)
AS_GGUF = (
    ("layer_tying", "int4_weight_only"),
    ("layer_dropping", "head_pruning", "kmeans"),
    ("magnitude_global", "int8_weight_only"),
)
REFUSED = {
    ("layer_dropping", "int8_static"): "rounds its inputs to 8 bits",
    ("int8_weight_only", "kv_cache"): "rounded in its cache",
}
MODELS = {"bert": tiny_bert, "roberta": tiny_roberta, "llama": tiny_llama}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A fresh checkpoint and a task that fits it."""
    folder = tmp_path_factory.mktemp("models")
    tasks = {}

    def begin(name: str, head: str):
        path = folder / f"{name}-{head}"
        if not path.exists():
            MODELS[name](head, path, num_hidden_layers=4, intermediate_size=64)
            trained = {"learning_rate": 1e-2, "batch_size": 8} if head in ("classification", "regression") else {}
            tasks[name, head] = task(folder, head, **trained)
        return checkpoints.load(path), context(tasks[name, head])

    return begin


def made(start, name: str, head: str, chain: tuple[str, ...]) -> Checkpoint:
    cp, about = start(name, head)
    for method in chain:
        settings = few_of(method)
        cp = compress(method, cp, about, **(settings | ({"group": 8} if "group" in settings else {})))
    return cp


def stored(cp: Checkpoint, folder):
    checkpoints.save(cp, folder)
    (folder / "provenance.json").write_text(json.dumps({"key": "0123456789ab"}))
    return folder


@pytest.mark.parametrize(("name", "head", "chain"), CHAINS)
def test_chains_are_exported_with_the_same_outputs(name, head, chain, start, tmp_path):
    cp = made(start, name, head, chain)
    expected = logits(cp)
    exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "plain")
    loaded, said = getattr(transformers, AUTO[head]).from_pretrained(tmp_path / "plain", output_loading_info=True)
    assert not any(said[each] for each in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(logits(as_head(loaded.eval(), cp)), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("chain", AS_GGUF, ids="-".join)
def test_chains_are_written_as_gguf_with_the_same_outputs(chain, start, tmp_path):
    cp = made(start, "llama", "causal_lm", chain)
    expected = logits(cp)
    exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "file", form="gguf")
    torch.testing.assert_close(logits(as_head(plainly(tmp_path / "file"), cp)), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("form", ["transformers", "gguf"])
@pytest.mark.parametrize("chain", REFUSED, ids="-".join)
def test_chains_that_round_what_no_format_rounds_are_refused_and_leave_nothing(chain, form, start, tmp_path):
    cp = made(start, "llama", "causal_lm", chain)
    with pytest.raises(UserError, match=REFUSED[chain]):
        exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "out", form=form)
    assert [each.name for each in tmp_path.iterdir()] == ["stored"]
