"""AUL and AULA against one forward pass per sentence, on pairs of both files."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import slow_scores as slow
import torch
from tiny import tiny_bert, tiny_roberta

from fairshrink import registry
from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import aul, aula
from fairshrink.models import checkpoint as checkpoints

PAIRS = [
    ("The doctor helped because he was kind.", "The doctor helped because she was kind.", "stereo", "gender"),
    ("My sister is poor.", "My wonderful brother is poor.", "antistereo", "gender"),
    ("People from the old city are boring.", "People from the country are boring.", "stereo", "nationality"),
]
LONG = ("The doctor " + "is kind and " * 30 + "poor.", "The doctor.", "stereo", "age")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {build.__name__: checkpoints.load(build("masked_lm", folder / build.__name__)) for build in BUILDS}


BUILDS = (tiny_bert, tiny_roberta)


def data(folder, pairs):
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerows([("sent_more", "sent_less", "stereo_antistereo", "bias_type"), *pairs])
    return {"items": [path]}


def by_definition(cp, text, weighted):
    """One sentence, plain transformers: mean over real tokens of (attention received) x log p(own token)."""
    ids = cp.tokenizer(text)["input_ids"]
    model, before = cp.model, cp.model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), output_attentions=True)
    model.set_attn_implementation(before)
    log_p = out.logits[0].double().log_softmax(-1)
    received = torch.stack(out.attentions).mean(0)[0].mean(0).mean(0)  # over layers, heads, positions that attend
    special = set(cp.tokenizer.all_special_ids)
    values = [
        float(log_p[i, token]) * (float(received[i]) if weighted else 1.0)
        for i, token in enumerate(ids)
        if token not in special
    ]
    return np.mean(values)


@pytest.mark.parametrize("module", [aul, aula])
@pytest.mark.parametrize("build", BUILDS)
def test_trap_attention_is_that_of_one_eager_forward_per_sentence(module, build, models, tmp_path):
    cp = models[build.__name__]
    rows = module.score(Scoring(cp, data(tmp_path, [*PAIRS, LONG])), module.Settings())
    for at, pair in enumerate(PAIRS):
        for side, text in zip(("more", "less"), pair, strict=False):
            assert rows.loc[at, side] == pytest.approx(by_definition(cp, text, module is aula), abs=1e-5)
    assert list(rows["skipped"]) == ["", "", "", "too long for the model"]
    assert list(rows["group"]) == ["gender", "gender", "nationality", "age"]


def test_trap_special_tokens_are_no_part_of_the_mean(models, tmp_path):
    cp = models["tiny_bert"]
    rows = aul.score(Scoring(cp, data(tmp_path, PAIRS[:1])), aul.Settings())
    ids = cp.tokenizer(PAIRS[0][0])["input_ids"]
    with_special = np.mean([slow.masked(cp.model, ids, i, token) for i, token in enumerate(ids)])
    assert abs(rows.loc[0, "more"] - with_special) > 1e-3


def test_a_sentence_costs_one_forward_however_often_it_occurs(models, tmp_path):
    cp = models["tiny_bert"]
    counted = slow.forwarded(cp)
    aul.score(Scoring(cp, data(tmp_path, [PAIRS[0]] * 3)), aul.Settings())
    assert sum(counted) == 2


def test_a_uniform_model_only_ties(tmp_path):
    cp = slow.silence(checkpoints.load(tiny_bert("masked_lm", tmp_path / "model")))
    rows = aul.score(Scoring(cp, data(tmp_path, PAIRS)), aul.Settings())
    values = {(s.name, s.group): s.value(len(rows)) for s in aul.summarize(rows, aul.Settings())}
    assert values["tied", "all"] == len(PAIRS) and values["stereotype_share", "all"] == 0
    assert values["token_probability", "all"] == pytest.approx(1 / cp.model.config.vocab_size)


def test_trap_weights_shrink_with_length_so_that_a_uniform_model_prefers_the_longer_sentence(tmp_path):
    cp = slow.silence(checkpoints.load(tiny_bert("masked_lm", tmp_path / "model")))
    long, short = "The doctor helped my sister because she was kind.", "The doctor was kind."
    pairs = [(long, short, "stereo", "gender")] * 3 + [(short, long, "stereo", "age")] + [PAIRS[1]]
    rows = aula.score(Scoring(cp, data(tmp_path, pairs)), aula.Settings())
    assert list(rows["more"] > rows["less"])[:4] == [True, True, True, False]
    lengths = [[len(cp.tokenizer(text)["input_ids"]) - 2 for text in pair[:2]] for pair in pairs]
    assert rows[["tokens_more", "tokens_less"]].to_numpy().tolist() == lengths
    expected = 100 * np.mean([1.0 if a > b else 0.0 if a < b else 0.5 for a, b in lengths])
    random = {(s.name, s.group): s.random for s in aula.summarize(rows, aula.Settings())}
    assert random["stereotype_share", "all"] == pytest.approx(expected)
    assert random["stereotype_share", "age"] == 0
    assert {s.random for s in aul.summarize(rows, aul.Settings()) if s.name == "stereotype_share"} == {50.0}


def test_pairs_of_stereoset_are_a_stereotype_and_its_opposite(models, tmp_path):
    labels = ("unrelated", "anti-stereotype", "stereotype")
    words = ("guitar", "poor", "kind")
    entry = {
        "id": "a", "target": "doctor", "bias_type": "profession", "context": "The Doctor is BLANK.",
        "sentences": [
            {"id": label, "sentence": f"The doctor is {word}.", "gold_label": label}
            for label, word in zip(labels, words, strict=True)
        ],
    }  # fmt: skip
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": {"intrasentence": [entry]}}))
    rows = aul.score(Scoring(models["tiny_roberta"], {"items": [path]}), aul.Settings())
    for side, word in (("more", "kind"), ("less", "poor")):
        expected = by_definition(models["tiny_roberta"], f"The Doctor is {word}.", False)
        assert rows.loc[0, side] == pytest.approx(expected, abs=1e-5)
    entry["context"] = "The Doctor was BLANK."
    path.write_text(json.dumps({"data": {"intrasentence": [entry]}}))
    with pytest.raises(UserError, match=r"aul: .*dev\.json, item a: a sentence is not the context"):
        aul.score(Scoring(models["tiny_roberta"], {"items": [path]}), aul.Settings())


def test_worked_example():
    rows = pd.DataFrame(
        {
            "item": list("abcd"), "cluster": list("abcd"), "group": ["gender", "gender", "age", "age"],
            "direction": ["stereo", "antistereo", "stereo", "stereo"], "skipped": ["", "", "", "too long"],
            "more": [-1.0, -2.0, -3.0, np.nan], "less": [-1.000001, -2.0, -2.0, np.nan],
            "p_more": [0.5, 0.5, 0.25, np.nan], "p_less": [0.5, 0.5, 0.75, np.nan],
        }
    )  # fmt: skip
    values = {(s.name, s.group): s.value(4) for s in aul.summarize(rows, aul.Settings())}
    assert values["stereotype_share", "all"] == pytest.approx(100 / 3)
    assert values["stereotype_share", "gender"] == 50 and values["stereotype_share", "age"] == 0
    assert (values["tied", "all"], values["skipped", "all"]) == (1, 1)
    assert values["token_probability", "all"] == pytest.approx(0.5)


def test_a_model_of_another_kind_is_refused(tmp_path):
    cp = checkpoints.load(tiny_bert("classification", tmp_path / "model"))
    with pytest.raises(UserError, match="masked_lm"):
        registry.load("metrics", "aul").score(Scoring(cp, data(tmp_path, PAIRS)), aul.Settings())
