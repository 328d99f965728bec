from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from scipy import stats

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.sentiment_gap import metric as sentiment_gap
from fairshrink.metrics.sentiment_gap import sentences
from fairshrink.metrics.sentiment_gap.sentences import comparisons, fill
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import outputs, running
from fairshrink.resources import json_file
from fairshrink.stats.jackknife import jackknife

FILE = json_file(sentences.__file__, "sentiment_gap.json")
ALL = list(comparisons(1, 4, 2))
WITH_NON_SOCIAL = list(comparisons(1, 4, 2, 3))
WITH_AGES = list(comparisons(1, 4, 2, 3, 4))


def persons(race, gender):
    return FILE["names"][race][gender]


def rows(first, second, dimension=None, emotion=None):
    n = len(first)
    return pd.DataFrame(
        {
            "group": dimension or ["gender"] * (n - n // 2) + ["race"] * (n // 2),
            "emotion": emotion or ["joy"] * n,
            "cluster": [f"t{i % 4}" for i in range(n)],
            "pair": [f"p{i % 3}" for i in range(n)],
            "prediction_first": first,
            "prediction_second": second,
        }
    )


def values(items):
    return {(s.name, s.group): s.value(len(items)) for s in sentiment_gap.summarize(items, sentiment_gap.Settings())}


def neutralised(sentence):
    """The sentence with its person replaced by a marker."""
    every = [person for kind in ("noun_phrases", "ages", "non_social") for pair in FILE[kind] for person in pair]
    every += [name for groups in FILE["names"].values() for names in groups.values() for name in names]
    pattern = "|".join(sorted(map(re.escape, every), key=len, reverse=True))
    found, n = re.subn(rf"\b({pattern})\b", "#", sentence, flags=re.I)
    assert n == 1, sentence
    return found


def test_compared_sentences_differ_only_in_the_person():
    for each in WITH_AGES:
        assert len({neutralised(text) for text in (*each.first, *each.second)}) == 1
        assert not set(each.first) & set(each.second)
        assert len(each.first) == len(each.second)


def test_groups_are_the_ones_named():
    for each in ALL:
        if each.pair.endswith("names"):
            for side, texts in enumerate((each.first, each.second)):
                if each.dimension == "gender":
                    allowed = persons(each.pair.removesuffix(" names"), ("male", "female")[side])
                else:
                    allowed = persons(("european_american", "african_american")[side], each.pair.removesuffix(" names"))
                assert all(any(re.search(rf"\b{name}\b", text) for name in allowed) for text in texts)
        else:
            male, female = each.pair.split("-")
            assert [male, female] in FILE["noun_phrases"]
            assert re.search(male, each.first[0], re.I)
            assert re.search(female, each.second[0], re.I)


def test_number_of_sentences_and_names_of_items():
    texts = {text for each in ALL for text in (*each.first, *each.second)}
    assert len(texts) == 86 * (2 * 4 + 4 * 2) == 1376
    assert len({each.template for each in ALL}) == 26
    assert Counter(each.dimension for each in ALL) == {"gender": 86 * 6, "race": 86 * 2}


def test_pairs_that_are_not_social_are_added_to_the_same_sentences():
    added = [each for each in WITH_NON_SOCIAL if each.dimension == "non_social"]
    assert [each for each in WITH_NON_SOCIAL if each.dimension != "non_social"] == ALL
    assert len(added) == 86 * 3 and all(each.pair.split("-") in FILE["non_social"] for each in added)
    shared = {(each.template, each.emotion, each.word) for each in ALL}
    assert {(each.template, each.emotion, each.word) for each in added} == shared


def test_pairs_of_young_and_old_are_added_to_the_same_sentences():
    added = [each for each in WITH_AGES if each.dimension == "age"]
    assert [each for each in WITH_AGES if each.dimension != "age"] == WITH_NON_SOCIAL
    uses = Counter(each.pair for each in added)
    assert set(uses) == {f"{young}-{old}" for young, old in FILE["ages"]} and len(uses) == 8
    assert max(uses.values()) - min(uses.values()) <= 2 and sum(uses.values()) == 86 * 4
    genders = [set(FILE["noun_phrases"][at]) for at in range(8)]
    assert not [pair for pair in FILE["ages"] if set(pair) in genders], "the two of a pair are of one gender"


def test_age_is_reported_by_itself_and_moves_no_other_number():
    others = rows([3.0, 5.0, 7.0, 1.0, 2.0, 2.5], [1.0, 1.0, 1.0, 1.0, 4.0, 0.5])
    aged = rows([3.0, 5.0, 9.0, 2.0], [1.0, 1.0, 1.0, 4.0], ["age"] * 4, ["joy", "joy", "fear", "fear"])
    both = pd.concat([others, aged.assign(pair=["a", "a", "b", "b"])], ignore_index=True)
    found, without = values(both), values(others)
    # a group of an emotion that only the aged sentences have is empty
    assert {name: found[name] for name in without} == pytest.approx(without, nan_ok=True)
    assert found["mean_gap", "age"] == pytest.approx((2 + 4 + 8 - 2) / 4)
    assert found["mean_absolute_gap", "age"] == pytest.approx((2 + 4 + 8 + 2) / 4)
    assert found["mean_gap", "age/joy"] == pytest.approx(3) and found["mean_gap", "age/fear"] == pytest.approx(3)
    assert found["paired_t", "age"] == pytest.approx(stats.ttest_rel([3, 5, 9, 2], [1, 1, 1, 4]).statistic)
    assert not any(group.startswith("age") for _, group in without)
    signals = [sentiment_gap.signal(each, sentiment_gap.Settings()) for each in (others, both)]
    assert np.isnan(signals[1].values[6:]).all() and np.isnan(signals[1].contrasts[0].values[6:]).all()
    errors = [jackknife(gap_of_gender(each), each["cluster"], each["pair"]) for each in (others, both)]
    assert errors[0] == errors[1], "pairs by age are no information on gender"


def gap_of_gender(items):
    (mean,) = (
        each.estimate
        for each in sentiment_gap.summarize(items, sentiment_gap.Settings())
        if (each.name, each.group) == ("mean_gap", "gender")
    )
    return mean


def test_persons_are_used_evenly_and_with_every_emotion():
    pairs = Counter((each.pair, each.emotion) for each in ALL if each.pair.count("-") and each.emotion != "none")
    assert len(pairs) == 8 * 4
    assert set(pairs.values()) == {10}
    text = " ".join(t for each in ALL if each.dimension == "race" for t in (*each.first, *each.second))
    uses = [
        len(re.findall(rf"\b{name}\b", text))
        for r in FILE["names"]
        for g in ("male", "female")
        for name in persons(r, g)
    ]
    assert max(uses) - min(uses) <= 6
    assert min(uses) >= 15


def test_emotion_words_are_used_evenly():
    words = Counter((each.template.rstrip("0123456789"), each.emotion, each.word) for each in ALL)
    assert {words[key] for key in words if key[1] != "none"} == {2 * 8}
    assert len(words) == 2 * 4 * 5 + 1


def test_trap_no_sentence_is_of_the_published_corpus():
    # Its templates, in short: none of ours may match.
    published = r"feels? \w+\.$|situation makes|made me feel|makes me feel|found (him|her)self|told us all about|conversation with|in the market|talked to .* yesterday|goes to the school|has two children"  # noqa: E501
    assert not [t for each in ALL for t in (*each.first, *each.second) if re.search(published, t)]


def test_articles_and_capitals():
    assert (
        fill("It was {a word} winter for {person}.", "my son", "outrageous")
        == "It was an outrageous winter for my son."
    )
    assert fill("{Person} sent us {a word} message.", "the girl", "sad") == "The girl sent us a sad message."


@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 8, 9, 8, 8), (2, 3, 4, 1, 3)])
def test_items_are_unique_whatever_the_sizes(sizes):
    found = list(comparisons(*sizes))
    keys = {(c.dimension, c.template, c.emotion, c.word, c.pair) for c in found}
    assert len(keys) == len(found)
    assert all(len(set(c.first)) == len(c.first) for c in found)


def test_summary_against_its_definitions():
    generator = np.random.default_rng(1)
    emotions = ["joy", "fear", "none"] * 8
    items = rows(generator.normal(size=24), generator.normal(size=24), emotion=emotions)
    found = values(items)
    for dimension in ("gender", "race"):
        part = items[items["group"] == dimension]
        gap = (part["prediction_first"] - part["prediction_second"]).to_numpy()
        assert found["mean_gap", dimension] == pytest.approx(gap.mean())
        assert found["mean_absolute_gap", dimension] == pytest.approx(np.abs(gap).mean())
        t = stats.ttest_rel(part["prediction_first"], part["prediction_second"]).statistic
        assert found["paired_t", dimension] == pytest.approx(t)
        spread = np.std([*part["prediction_first"], *part["prediction_second"]], ddof=1)
        assert found["prediction_spread", dimension] == pytest.approx(spread)
        assert found["relative_gap", dimension] == pytest.approx(np.abs(gap).mean() / spread)
        for emotion in ("joy", "fear", "none"):
            chosen = gap[(part["emotion"] == emotion).to_numpy()]
            assert found["mean_gap", f"{dimension}/{emotion}"] == pytest.approx(chosen.mean())
            assert found["mean_absolute_gap", f"{dimension}/{emotion}"] == pytest.approx(np.abs(chosen).mean())
    assert sentiment_gap.HEADLINE in found


def test_weights_count_items():
    generator = np.random.default_rng(5)
    items = rows(*generator.normal(size=(2, 12)), emotion=["joy", "fear"] * 6)
    weights = generator.integers(1, 4, size=(4, 12)).astype(float)
    for s in sentiment_gap.summarize(items, sentiment_gap.Settings()):
        if s.name == "debiased_mean_square":  # a pair drawn twice counts as two: tests/stats/test_magnitude.py
            continue
        if s.higher_is == "count":
            assert not s.sampled
            continue
        repeated = [items.loc[np.repeat(np.arange(12), row.astype(int))].reset_index(drop=True) for row in weights]
        assert s.estimate(weights) == pytest.approx([values(each)[s.name, s.group] for each in repeated]), s.name


def test_trap_a_constant_model_is_visible(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("regression", tmp_path / "m"))
    torch.nn.init.zeros_(cp.model.classifier.weight)
    found = values(sentiment_gap.score(Scoring(cp), sentiment_gap.Settings(noun_phrases=1, names=1)))
    for dimension in ("gender", "race"):
        assert found["mean_gap", dimension] == found["mean_absolute_gap", dimension] == 0
        assert found["prediction_spread", dimension] == 0
        assert np.isnan(found["relative_gap", dimension])
        assert np.isnan(found["paired_t", dimension])


def test_rows_contain_the_means_of_single_predictions(tmp_path, monkeypatch):
    cp = checkpoints.load(tiny.tiny_roberta("regression", tmp_path / "m"))
    settings = sentiment_gap.Settings(noun_phrases=1, names=2)
    items = sentiment_gap.score(Scoring(cp), settings)
    assert list(items["item"]) == sorted(set(items["item"]))
    for row in items.iloc[::60].itertuples():
        for texts, found in ((row.first, row.prediction_first), (row.second, row.prediction_second)):
            alone = [outputs.sequence_logits(cp, [text])[0, 0] for text in texts.split(" | ")]
            assert found == pytest.approx(np.mean(alone), abs=1e-5)
    monkeypatch.setattr(running, "token_budget", lambda cp: 600)
    pd.testing.assert_frame_equal(sentiment_gap.score(Scoring(cp), settings), items, atol=1e-5)


def test_a_classifier_is_read_by_the_name_of_its_label(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path / "m", labels=("neutral", "Positive", "negative")))
    text = "My brother was happy."
    logits = outputs.sequence_logits(cp, [text])[0]
    assert sentiment_gap.predict(cp, [text])[0] == pytest.approx(np.exp(logits[1]) / np.exp(logits).sum())
    cp.labels = ("entailment", "neutral", "contradiction")
    with pytest.raises(UserError, match="'positive'"):
        sentiment_gap.predict(cp, [text])


def test_pairs_that_differ_in_nothing_social_stand_apart():
    without, items = rows([3.0, 5.0, 7.0, 1.0], [1.0, 1.0, 1.0, 1.0]), rows([3.0, 5.0, 9.0], [1.0, 1.0, 1.0])
    items["group"] = "non_social"
    both = pd.concat([without, items], ignore_index=True)
    found, apart = values(both), values(without)
    assert {name: found[name] for name in apart} == pytest.approx(apart, nan_ok=True)
    assert found["mean_gap", "non_social"] == pytest.approx((2 + 4 + 8) / 3)
    assert not any(group == "non_social" for _, group in apart)
    signal = sentiment_gap.signal(both, sentiment_gap.Settings())
    assert np.isnan(signal.values[4:]).all() and np.isnan(signal.contrasts[0].values[4:]).all()


def test_a_classifiers_polarity_is_the_expected_one(tmp_path):
    labels = ("very bad", "good", "so so", "bad")
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path / "m", labels=labels))
    polarity = {"bad": -1.0, "very bad": -2.5, "good": 1.0, "so so": 0.25}
    given = Scoring(cp, polarity=polarity)
    items = sentiment_gap.score(given, sentiment_gap.Settings(noun_phrases=1, names=1))
    for row in items.iloc[::40].itertuples():
        logits = outputs.sequence_logits(cp, [row.first])[0]
        odds = {label: np.exp(logit) for label, logit in zip(labels, logits, strict=True)}
        expected = sum(polarity[label] * odds[label] for label in labels) / sum(odds.values())
        assert row.prediction_first == pytest.approx(expected, abs=1e-5)
