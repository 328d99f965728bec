"""What `export` writes is read by plain transformers alone, and gives the checkpoint's own outputs, or is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
import zoo
from compression_case import FEW, compress, few_of, logits, tiny
from every_architecture import ALL, built

from fairshrink.compression._shared import heads
from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import task_heads
from fairshrink.models.architecture.families import refusals
from fairshrink.models.architecture.heads import head_units
from fairshrink.models.checkpoint import Checkpoint

RECORD = {
    "key": "0123456789ab",
    "identity": {"model": "tiny", "task": "a|b", "split": 0, "seed": 3, "method": "svd", "setting": ""},
    "ledger": {"params": 1000, "effective_bits": 4.5},
    "made": {"git_commit": "abc"},
    "stage": "compress",
    "parts": {"params": {"method": "svd", "settings": {"rank": None, "parameters_kept": 0.5, "scope": "encoder"}}},
}


def stored(cp: Checkpoint, folder):
    checkpoints.save(cp, folder)
    (folder / "provenance.json").write_text(json.dumps(RECORD))
    return folder


def gpt2() -> Checkpoint:
    """An architecture whose dense matrices are transposed and fused."""
    made = zoo.built("gpt2", "causal_lm", with_decoder=False)
    model = task_heads.build(made.config, "causal_lm")
    model.load_state_dict(made.state_dict())
    return Checkpoint(model, zoo._ALL["gpt2"].tokenizer(), "causal_lm")


def read_plainly(folder, head: str) -> torch.nn.Module:
    return getattr(transformers, zoo.AUTO[head]).from_pretrained(folder).eval()


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("magnitude_global", {"sparsity": 0.5}),
        ("int8_weight_only", {}),
        ("int4_weight_only", {"group": 16, "embeddings": True}),
        ("linear_quantization", {"bits": 3}),
        ("kmeans", {"clusters": 8, "embeddings": True}),
        ("svd", FEW["svd"]),
        ("layer_tying", {}),
        ("layer_dropping", few_of("layer_dropping")),
    ],
)
@pytest.mark.parametrize("name", ["roberta", "llama", "gpt2"])
def test_plain_transformers_gives_the_same_outputs(name, method, settings, tmp_path):
    cp = compress(method, gpt2() if name == "gpt2" else tiny(name, tmp_path), **settings)
    expected = logits(cp)
    exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "plain")
    model = read_plainly(tmp_path / "plain", cp.head)
    ids = torch.randint(
        5, model.get_input_embeddings().num_embeddings, (3, 12), generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "plain")("The doctor")["input_ids"]


@pytest.mark.parametrize("name", [name for name in ALL if not refusals({"model_type": name}, "heads")])
def test_removed_heads_and_neurons_come_back_as_zeros(name, tmp_path):
    """In matrices of every architecture, fused and transposed ones, and where a position bias belongs to a head."""
    cp = built(name, 0)
    units = head_units(cp.model)
    keep = [np.arange(number) != number - 2 - layer % 2 for layer, number in enumerate(units)]
    cp = heads.keep(cp, keep)
    cp = compress("linear_quantization", cp, bits=8)
    expected = logits(cp)
    exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "plain")
    found = logits(Checkpoint(zoo.loaded(tmp_path / "plain", cp.head), cp.tokenizer, cp.head))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "method", "reason"),
    [("bert", "int8_dynamic", "rounds its inputs to 8 bits"), ("llama", "kv_cache", "rounded in its cache")],
)
def test_what_plain_transformers_has_no_place_for_is_refused_and_leaves_nothing(name, method, reason, tmp_path):
    cp = compress(method, tiny(name, tmp_path), **few_of(method))
    with pytest.raises(UserError, match=reason):
        exporting.export(stored(cp, tmp_path / "stored"), tmp_path / "plain")
    assert not [each.name for each in tmp_path.iterdir() if "plain" in each.name]


def test_the_model_card_has_recipe_ledger_and_scores():
    row = {"metric": "seat", "statistic": "mean|d", "group": "all", "value": 0.25, "ci_low": 0.125, "ci_high": 0.5}
    text = exporting.card("tiny-svd", RECORD, pd.DataFrame([row | {"baseline_value": 0.75}]), "Weights are dense.")
    assert "- all settings of svd: parameters_kept 0.5, scope encoder\n" in text
    assert "- method: svd" in text and "- key of the checkpoint: 0123456789ab" in text
    assert "| bits per weight as stored | 4.5 |" in text and "| parameters | 1,000 |" in text
    assert "mean\\|d" in text and "\n\nWeights are dense.\n\n" in text and "0.125 to 0.5" in text


def test_folders_that_exist_and_folders_that_are_no_checkpoints_are_refused(tmp_path):
    source = stored(tiny("bert", tmp_path), tmp_path / "stored")
    with pytest.raises(UserError, match="exists already"):
        exporting.export(source, tmp_path)
    with pytest.raises(UserError, match=r"config\.json is a file, so there can be no folder"):
        exporting.export(source, source / "config.json" / "plain")
    with pytest.raises(UserError, match="not a checkpoint"):
        exporting.export(tmp_path / "nothing", tmp_path / "plain")
    with pytest.raises(UserError, match="no format 'exe'; write one of transformers"):
        exporting.export(source, tmp_path / "plain", form="exe")
    with pytest.raises(UserError, match="transformers has no weights 'q4_0'; write one of stored"):
        exporting.export(source, tmp_path / "plain", weights="q4_0")
