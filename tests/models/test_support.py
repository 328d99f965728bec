from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import transformers
import zoo

from fairshrink import registry
from fairshrink.documenting import models
from fairshrink.models.architecture.families import FAMILIES
from fairshrink.models.support import ARCHITECTURES, supported
from fairshrink.models.task_heads import AUTO_CLASSES, TASK_HEADS


@pytest.mark.parametrize("name", [*zoo.ENCODERS, *zoo.VARIANTS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS])
def test_every_architecture_of_the_tests_is_supported_with_the_heads_that_transformers_has(name):
    assert ARCHITECTURES[name].family == ("causal" if name in zoo.CAUSAL else "encoder")
    assert set(ARCHITECTURES[name].heads) == {head for head in TASK_HEADS if zoo.has_class(name, head)}


def test_every_supported_architecture_is_tested_and_its_layers_are_known():
    assert set(ARCHITECTURES) == {*zoo.ENCODERS, *zoo.VARIANTS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS} == set(FAMILIES)


def test_the_page_says_what_is_tested():
    """A cell is `yes` where a study may ask for it and the tests over architectures hold it to transformers."""
    page, _, below = models.markdown().partition("## Which metrics")
    assert all(f"| `{name}` | " in below for name in registry.names("metrics"))
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    (_, _, _, *kinds, _), *rest = rows
    heads = {f"`{kind}`": registry.load("tasks", kind).HEAD for kind in registry.names("tasks")}
    for _, name, family, *cells, _ in rest:
        said = {heads[kind] for kind, cell in zip(kinds, cells, strict=True) if cell.strip() == "yes"}
        causal = name.strip("`") in zoo.CAUSAL
        assert family == ("causal" if causal else "encoder")
        able = ["causal_lm"] if causal else ["encoder", "masked_lm", "regression", "classification"]
        assert said == {head for head in able if zoo.has_class(name.strip("`"), head)}
    assert len(rest) == len(ARCHITECTURES)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_transformers_knows_every_architecture_and_its_heads(kind):
    config = type(transformers.AutoConfig.for_model(kind))
    assert all(config in getattr(transformers, AUTO_CLASSES[head])._model_mapping for head in ARCHITECTURES[kind].heads)


@pytest.mark.parametrize(
    ("config", "head", "reason"),
    [
        ({}, "encoder", "no model_type"),
        ({"model_type": "mamba"}, "causal_lm", "'mamba' is not supported; use one of albert,"),
        ({"model_type": "gpt2"}, "masked_lm", "GPT-2, DistilGPT-2 cannot be used as a masked language model"),
        ({"model_type": "cohere"}, "classification", "cannot be used as a classifier"),
        ({"model_type": "t5"}, "causal_lm", "T5 cannot be used as a causal language model; use it as a model without"),
        (
            {"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 4}},
            "causal_lm",
            r"stored quantized \(gptq\); give the model that it was made from",
        ),
        ({"model_type": "bert", "is_decoder": True}, "masked_lm", "decoder of BERT"),
        ({"model_type": "llama", "vocab_size": 100, "pad_token_id": 100}, "causal_lm", "pad_token_id 100 is beyond"),
        ({"model_type": "bert", "id2label": {"1": "a", "2": "b"}}, "classification", "counts 1, 2 instead of from 0"),
    ],
)
def test_what_is_not_supported_is_said_with_a_remedy(config, head, reason):
    (said,) = supported(config, head)
    assert "; " in said
    assert re.search(reason, said)


def test_a_published_config_has_no_reason_against_it(tmp_path):
    for name, head in (("bert", "classification"), ("gemma2", "causal_lm"), ("t5", "encoder")):
        config = json.loads((zoo.model_folder(name, head, tmp_path / name) / "config.json").read_text())
        assert supported(config, head) == []
    labels = {str(number): str(number) for number in range(12)}  # as text, 10 sorts before 2
    assert supported({"model_type": "bert", "id2label": labels}, "classification") == []


def test_planning_can_ask_without_torch():
    code = "import sys, fairshrink.models.support; assert not {'torch', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
