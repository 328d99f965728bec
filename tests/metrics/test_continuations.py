"""Profanity and toxicity of continuations: each text by itself, words by hand, plain transformers as classifier."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from tiny import tiny_bert, tiny_llama

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import profanity, toxicity
from fairshrink.metrics._shared import classifier
from fairshrink.metrics._shared.continuing import uniform_texts
from fairshrink.metrics._shared.prompting import prompt_ids
from fairshrink.metrics._shared.prompts import PromptSettings, chosen_prompts
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference.generation import Sampling, continuations

SHORT = {"tokens": 5, "draws": 3, "sample": 20, "seed": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def cp(folder):
    return checkpoints.load(tiny_llama("causal_lm", folder / "model"))


@pytest.fixture(scope="module")
def detector(folder):
    """A classifier as its maker publishes it, by plain transformers."""
    tiny = checkpoints.load(tiny_bert("classification", folder / "own", labels=("harmless", "toxic", "unclear")))
    tiny.model.save_pretrained(folder / "detector")
    tiny.tokenizer.save_pretrained(folder / "detector")
    return folder / "detector"


def texts_of(cp, prompts, settings):
    """Every continuation by itself."""
    sampling = Sampling(settings.tokens, settings.temperature, settings.top_p, settings.draws, settings.seed)
    return {each.item: continuations(cp, [prompt_ids(cp, each.text, False)], sampling)[0] for each in prompts}


def values(module, rows, settings):
    return {(s.name, s.group): s.value(len(rows)) for s in module.summarize(rows, settings)}


def test_profanity_equals_one_continuation_at_a_time(cp, tmp_path):
    settings = profanity.Settings(**SHORT)
    first = texts_of(cp, chosen_prompts("profanity", {}, settings)[:4], settings)
    spelled = "".join(c if c.isalnum() or c == "_" else " " for texts in first.values() for c in texts[0].lower() + " ")
    listed = set(spelled.split()[:3])
    (tmp_path / "words.txt").write_text("\n\n".join(listed).upper() + "\n")
    rows = profanity.score(Scoring(cp, {"words": [tmp_path / "words.txt"]}), settings)
    texts = texts_of(cp, chosen_prompts("profanity", {}, settings), settings)
    assert set(rows["item"]) == set(texts) and len(rows) == 20

    def has_word(text):
        letters = "".join(c if c.isalnum() or c == "_" else " " for c in text.lower())
        return any(word in listed for word in letters.split())

    shares = {}
    for row in rows.itertuples():
        found = [has_word(text) for text in texts[row.item]]
        assert row.profane == np.mean(found) and row.any_profane == any(found) and row.text == texts[row.item][0]
        shares.setdefault(row.group, []).append(row.profane)
    found = values(profanity, rows, settings)
    assert found["profanity", "all"] == pytest.approx(rows["profane"].mean())
    for group, mine in shares.items():
        assert found["profanity", group] == pytest.approx(np.mean(mine))
        others = [each for name, theirs in shares.items() if name != group for each in theirs]
        assert found["gap", group] == pytest.approx(np.mean(mine) - np.mean(others))
    expected = np.mean([has_word(text) for text in uniform_texts(cp, 5)])
    (headline, *_) = profanity.summarize(rows, settings)
    assert headline.random == pytest.approx(expected) and rows["profane"].max() > 0


def test_words_of_a_list_by_hand():
    pattern = profanity.pattern_of(["damn", "damn it", "f**k", "cafe"])
    assert profanity.words_in("Damn  it, said she; DAMN.", pattern) == ["damn it", "damn"]
    assert profanity.words_in("a damnation of f**k-ups in the Café", pattern) == ["f**k", "cafe"]
    assert profanity.words_in("nothing here, goddamn", pattern) == []


def by_plain_transformers(detector, text, number, independent=False):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(detector).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(detector)
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0].double()
    return float((logits.sigmoid() if independent else logits.softmax(-1))[number])


def test_a_word_without_letters_would_be_in_every_text(tmp_path):
    path = tmp_path / "profane.txt"
    path.write_text("darn\n\u0301\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"profane\.txt, line 2: .* has no letters"):
        profanity.read_words([path])
    path.write_text("darn\r\nwhat the\u2028heck\n", encoding="utf-8")
    assert profanity.read_words([path]) == ["darn", "what the heck"]


def test_toxicity_equals_one_continuation_at_a_time(cp, detector):
    settings = toxicity.Settings(**(SHORT | {"sample": 8}), threshold=0.4)
    rows = toxicity.score(Scoring(cp, {"classifier": [detector]}), settings)
    texts = texts_of(cp, chosen_prompts("toxicity", {}, settings), settings)
    for row in rows.itertuples():
        each = [by_plain_transformers(detector, text, 1) if text.strip() else 0.0 for text in texts[row.item]]
        assert row.toxicity == pytest.approx(np.mean(each), abs=1e-5)
        assert row.maximum == pytest.approx(max(each), abs=1e-5)
        assert row.toxic == np.mean([value >= 0.4 for value in each]) and row.any_toxic == (max(each) >= 0.4)
    assert rows["toxicity"].nunique() > 4
    found = values(toxicity, rows, settings)
    assert found["toxicity", "all"] == pytest.approx(rows["toxicity"].mean())
    assert found["expected_maximum", "all"] == pytest.approx(rows["maximum"].mean())
    assert found["toxic_share", "all"] == pytest.approx(rows["toxic"].mean())
    uniform = [by_plain_transformers(detector, text, 1) for text in uniform_texts(cp, 5)[:6]]
    several = classifier.label_probabilities("toxicity", [detector], uniform_texts(cp, 5), "TOXIC", "config", "cpu")
    np.testing.assert_allclose(several[:6], uniform, atol=1e-5)
    (headline, *_) = toxicity.summarize(rows, settings)
    assert headline.random == pytest.approx(several[:198].mean(), abs=1e-6)


def test_independent_labels_are_read_by_sigmoid(detector, tmp_path):
    config = json.loads((detector / "config.json").read_text())
    for each in detector.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    texts = ["The doctor is kind.", "Nobody watched!"]
    for outputs, folder, independent in (
        ("config", tmp_path, True),
        ("softmax", tmp_path, False),
        ("sigmoid", detector, True),
    ):
        found = classifier.label_probabilities("toxicity", [folder], texts, "toxic", outputs, "cpu")
        np.testing.assert_allclose(
            found, [by_plain_transformers(detector, t, 1, independent) for t in texts], atol=1e-5
        )


def test_a_classifier_is_read_once(cp, detector, monkeypatch):
    from fairshrink.models import pretrained

    classifier._opened.cache_clear()
    real, read = pretrained.read_folder, []
    monkeypatch.setattr(pretrained, "read_folder", lambda *given: read.append(given) or real(*given))
    settings = toxicity.Settings(**(SHORT | {"sample": 2}))
    for _ in range(2):
        toxicity.score(Scoring(cp, {"classifier": [detector]}), settings)
    assert len(read) == 1


@pytest.mark.parametrize(
    ("make", "label", "said"),
    [
        (lambda detector, folder: detector, "hateful", "labels are harmless, toxic, unclear; write `label:`"),
        (lambda detector, folder: folder / "nothing", "toxic", "cannot be read as a classifier"),
        (lambda detector, folder: tiny_bert("masked_lm", folder / "mlm"), "toxic", "has no weights for"),
    ],
)
def test_what_is_no_such_classifier_is_refused(detector, tmp_path, make, label, said):
    with pytest.raises(UserError, match=said):
        classifier.label_probabilities("toxicity", [make(detector, tmp_path)], ["x"], label, "config", "cpu")


def test_own_prompts_are_every_person_in_every_beginning():
    found = chosen_prompts("toxicity", {}, PromptSettings())
    assert len({each.item for each in found}) == len({each.text for each in found}) == len(found) == 144
    assert all(each.text[0].isupper() and "{" not in each.text for each in found)
    counts = pd.crosstab([each.group for each in found], [each.context for each in found])
    assert counts.shape == (12, 6) and (counts == 2).all(axis=None)


def test_prompts_of_a_study(tmp_path):
    (tmp_path / "lines.txt").write_text("The doctor said\n\n  She was \n")
    (tmp_path / "real.jsonl").write_text(
        json.dumps({"prompt": {"text": "He is"}, "challenging": False})
        + "\n"
        + json.dumps({"prompt": "We", "group": "us"})
    )
    both = {"prompts": [tmp_path / "lines.txt", tmp_path / "real.jsonl"]}
    found = [(each.text, each.group) for each in chosen_prompts("toxicity", both, PromptSettings())]
    assert found == [("The doctor said", "prompts"), ("She was", "prompts"), ("He is", "prompts"), ("We", "us")]
    (tmp_path / "real.jsonl").write_text('{"prompt": {"text": null}}')
    with pytest.raises(UserError, match="line 1: no text"):
        chosen_prompts("toxicity", both, PromptSettings())
    (tmp_path / "real.jsonl").write_text("He is")
    with pytest.raises(UserError, match="line 1: no JSON"):
        chosen_prompts("toxicity", both, PromptSettings())


def test_prompts_that_cannot_be_continued_are_skipped(cp, detector, tmp_path):
    (tmp_path / "lines.txt").write_text("kind " * 80 + "\nThe doctor\n")
    data = {"prompts": [tmp_path / "lines.txt"], "classifier": [detector]}
    settings = toxicity.Settings(tokens=5)
    rows = toxicity.score(Scoring(cp, data), settings)
    assert list(rows["skipped"]) == ["too long for the model", ""]
    assert np.isnan(rows["toxicity"][0]) and values(toxicity, rows, settings)["skipped", "all"] == 1
    assert values(toxicity, rows, settings)["toxicity", "all"] == pytest.approx(rows["toxicity"][1])


def test_a_model_that_gives_no_numbers_has_no_value(folder, detector):
    broken = checkpoints.load(tiny_llama("causal_lm", folder / "broken"))
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    settings = toxicity.Settings(sample=3, tokens=4)
    rows = toxicity.score(Scoring(broken, {"classifier": [detector]}), settings)
    assert (rows["skipped"] == "the model gives no numbers").all()
    assert np.isnan(values(toxicity, rows, settings)["toxicity", "all"])
