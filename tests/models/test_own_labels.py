"""Classifiers that people bring: outputs are matched with a task's labels by name, compared with plain transformers."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import tiny
import torch
import transformers

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.classes import matched, probabilities
from fairshrink.models.inference.outputs import sequence_logits

LABELS = ("negative", "neutral", "positive")
ARCHITECTURES = {
    "bert": transformers.BertConfig,
    "roberta": transformers.RobertaConfig,
    "distilbert": transformers.DistilBertConfig,
    "electra": transformers.ElectraConfig,
    "deberta": transformers.DebertaV2Config,
}


def published(folder, architecture="bert", names=LABELS, **more):
    """A classifier as plain transformers writes it, whose outputs are called ``names``."""
    tokenizer = checkpoints.load(tiny.tiny_bert("encoder", folder / "tokenizer")).tokenizer
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    if architecture == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    given = (
        {} if names is None else {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    )
    config = ARCHITECTURES[architecture](
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=64,
        initializer_range=0.5,
        **sizes,
        **given,
        **more,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def plain(folder, texts):
    """Probabilities by name, from plain transformers, one text at a time."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        with torch.no_grad():
            shares = model(**tokenizer(text, return_tensors="pt")).logits.double().softmax(-1)[0].tolist()
        rows.append({model.config.id2label[number].lower(): share for number, share in enumerate(shares)})
    return rows


def ours(cp, texts):
    shares = probabilities(sequence_logits(cp, list(texts)))
    return [dict(zip(cp.labels, row, strict=True)) for row in shares.tolist()]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_whatever_the_order_probabilities_by_name_are_those_of_plain_transformers(tmp_path, architecture):
    folder = published(tmp_path, architecture, ("POSITIVE", "Negative", "neutral"))
    wanted = plain(folder, tiny.SENTENCES[:4])
    orders = list(itertools.permutations(LABELS))
    for labels in orders if architecture == "bert" else orders[3:5]:
        cp = checkpoints.from_source(folder, head="classification", labels=labels, trained=labels == orders[3])
        assert cp.labels == labels
        for found, expected in zip(ours(cp, tiny.SENTENCES[:4]), wanted, strict=True):
            assert found == pytest.approx(expected, abs=1e-6)
    checkpoints.save(cp, tmp_path / "saved")
    for found, expected in zip(plain(tmp_path / "saved", tiny.SENTENCES[:4]), wanted, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_tables_mapping_says_what_outputs_mean(tmp_path):
    folder = published(tmp_path, names=None, num_labels=3)
    names = {"LABEL_0": "neutral", "LABEL_1": "positive", "LABEL_2": "negative", "0": "neutral"}
    cp = checkpoints.from_source(folder, head="classification", labels=LABELS, names=names, trained=False)
    for found, expected in zip(ours(cp, tiny.SENTENCES), plain(folder, tiny.SENTENCES), strict=True):
        by_name = {names[own.upper()]: share for own, share in expected.items()}
        assert found == pytest.approx(by_name, abs=1e-6)


@pytest.mark.parametrize("names", [None, ("bad", "neutral", "good"), ("negative", "positive")])
def test_other_labels_get_a_new_head_or_are_refused(tmp_path, capsys, names):
    folder = published(tmp_path, names=names, **({"num_labels": 3} if names is None else {}))
    own = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    capsys.readouterr()
    cp = checkpoints.from_source(folder, head="classification", labels=LABELS)
    listed = ", ".join(names or ("LABEL_0", "LABEL_1", "LABEL_2"))
    assert (
        f"has outputs for {listed}, not negative, neutral, positive: its head is a new one" in capsys.readouterr().err
    )
    rows = {tuple(row) for row in own.classifier.weight.tolist()}
    assert not rows & {tuple(row) for row in cp.model.classifier.weight.tolist()}
    with pytest.raises(UserError) as raised:
        checkpoints.from_source(folder, head="classification", labels=LABELS, trained=False)
    assert f"the model's labels are {listed}, those of the task negative, neutral, positive" in str(raised.value)
    assert "`labels: {" in str(raised.value)


def test_outputs_that_are_decided_on_one_by_one_are_no_choice(tmp_path):
    folder = published(tmp_path, problem_type="multi_label_classification")
    with pytest.raises(UserError, match="decides on each label by itself"):
        checkpoints.from_source(folder, head="classification", labels=LABELS, trained=False)


@pytest.mark.parametrize("head", ["classification", "regression"])
def test_a_head_that_is_not_in_the_file_is_not_made_up(tmp_path, head):
    published(tmp_path, names=LABELS[: 3 if head == "classification" else 1])
    cp = checkpoints.load(tiny.tiny_bert("masked_lm", tmp_path / "lm"))
    cp.model.save_pretrained(tmp_path / "plain")
    cp.tokenizer.save_pretrained(tmp_path / "plain")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    labels = LABELS if head == "classification" else ()
    with pytest.raises(UserError, match=r"no bert.pooler.dense.bias, .*classifier.bias.* trains nothing"):
        checkpoints.from_source(tmp_path / "plain", head=head, labels=labels, trained=False)
    assert checkpoints.from_source(tmp_path / "plain", head=head, labels=labels)


def test_a_ready_made_regression(tmp_path):
    folder = published(tmp_path, names=("score",))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    cp = checkpoints.from_source(folder, head="regression", trained=False)
    with torch.no_grad():
        wanted = [model(**tokenizer(text, return_tensors="pt")).logits.item() for text in tiny.SENTENCES]
    np.testing.assert_allclose(sequence_logits(cp, list(tiny.SENTENCES))[:, 0], wanted, atol=1e-5)
    with pytest.raises(UserError, match=r"3 outputs .negative, neutral, positive., and a regression has one"):
        checkpoints.from_source(published(tmp_path / "three"), head="regression", trained=False)


@pytest.mark.parametrize(
    ("given", "names", "order"),
    [
        (["b", "a"], {}, [1, 0]),
        ([" B", "A"], {}, [1, 0]),
        (["b", "c"], {}, None),
        (["a", "b", "c"], {}, None),
        (["a"], {}, None),
        (["a", "a"], {}, None),
        (["0", "1"], {"0": "b", "1": "a"}, [1, 0]),
        (["0", "1"], {"0": "b"}, None),
        # A file that swaps the two words says nothing of the model, which has both.
        (["a", "b"], {"a": "b", "b": "a"}, [0, 1]),
    ],
)
def test_matching(given, names, order):
    assert matched(given, ["a", "b"], names) == order
