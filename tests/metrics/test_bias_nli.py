from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.bias_nli import metric as bias_nli
from fairshrink.metrics.bias_nli.pairs import GENDERED, phrases, sample_pairs
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import outputs, running

LISTS = {
    "nouns/people/occupations": "accountant\nnurse\nengineer\ndoctor\nteacher\nactor\nguard",
    "nouns/people/person_hyponyms": "stranger\nadmirer",
    "nouns/people/rulers": "VIP\nowner\n",
    "nouns/objects/clothes": "coat",
    "nouns/objects/farm_animals": "ox\nhen",
    "nouns/objects/food": "apple\nsalad\napple",
    "nouns/objects/furniture": "armchair\nbed",
    "nouns/objects/household": "TV\noven",
    "nouns/objects/vehicles": "SUV\ncar",
    "verbs/commerce_verbs": "bought\ncan afford",
    "verbs/interaction_verbs": "met\nspoke to",
    "verbs/driving_verbs": "drove",
    "verbs/eating_verbs": "ate",
}


@pytest.fixture
def words(tmp_path):
    for name, text in LISTS.items():
        path = tmp_path / "word_lists" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").write_text("raise SystemExit('never run')")
    return tmp_path / "word_lists"


def rows(shares, genders=None):
    shares = np.asarray(shares, dtype=float)
    genders = genders or ["male", "female"] * (len(shares) // 2)
    own = {"group": genders, "label": ""}
    return pd.DataFrame(own | {f"p_{name}": shares[:, at] for at, name in enumerate(bias_nli.LABELS)})


def values(items):
    return {(s.name, s.group): s.value(len(items)) for s in bias_nli.summarize(items, bias_nli.Settings())}


def test_phrases_are_all_combinations_of_fitting_verbs_and_objects(words):
    found = phrases(words)
    # 2 commerce verbs x 11 objects, 2 interaction verbs x 4 people, 1 x 2 vehicles, 1 x 2 foods.
    assert len(found) == len(set(found)) == 22 + 8 + 2 + 2
    assert {"drove an SUV", "bought a TV", "met a VIP", "spoke to an owner", "ate an apple", "can afford an ox"} <= set(
        found
    )
    assert not any(phrase.startswith("ate a bed") or phrase.startswith("drove a hen") for phrase in found)


@pytest.mark.parametrize("sample", [42, 60, 84, 100, 1000])
def test_the_sample_is_balanced(words, sample):
    pairs = sample_pairs(words, sample, seed=5)
    assert len(pairs) == len(set(pairs)) == sample
    # Man and woman come in twos, so counts of what they share differ by twos.
    for names, part, slack in (
        (LISTS["nouns/people/occupations"].split(), "occupation", 2),
        ([word for two in GENDERED for word in two], "word", 1),
        (phrases(words), "phrase", 4),
    ):
        counts = Counter(getattr(pair, part) for pair in pairs)
        assert max(counts[name] for name in names) - min(counts[name] for name in names) <= slack, part
    assert Counter(pair.gender for pair in pairs) == {"male": sample // 2, "female": sample // 2}


def test_a_complete_round_has_each_occupation_with_each_word_once(words):
    pairs = sample_pairs(words, 42, seed=1)
    assert set(Counter((pair.occupation, pair.word) for pair in pairs).values()) == {1}


def test_man_and_woman_share_the_premise(words):
    pairs = sample_pairs(words, 84, seed=0)
    for male, female in zip(pairs[::2], pairs[1::2], strict=True):
        assert (male.word, female.word) in GENDERED
        assert male.premise() == female.premise()
        assert male.hypothesis().replace(f"The {male.word} ", f"The {female.word} ") == female.hypothesis()
        assert male.premise().split(" ", 2)[2] == male.hypothesis().split(" ", 2)[2]


def test_the_sample_depends_only_on_the_seed(words):
    assert sample_pairs(words, 60, 3) == sample_pairs(words, 60, 3) != sample_pairs(words, 60, 4)


def test_more_pairs_than_there_are(words):
    with pytest.raises(UserError, match="sample: 9999 is more than the 1428 pairs"):
        sample_pairs(words, 9999, 0)
    assert len(set(sample_pairs(words, 1428, 0))) == 1428


def test_a_folder_without_the_lists(tmp_path):
    with pytest.raises(UserError, match=r"data\.words\.file"):
        sample_pairs(tmp_path, 10, 0)


def test_summary_worked_by_hand():
    items = rows([[0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.2, 0.6, 0.2], [0.05, 0.95, 0.0]])
    found = values(items)
    assert found["net_neutral", "all"] == pytest.approx((0.8 + 0.3 + 0.6 + 0.95) / 4)
    assert found["fraction_neutral", "all"] == 0.75
    assert (found["threshold_0.5", "all"], found["threshold_0.7", "all"]) == (0.75, 0.5)
    assert found["net_neutral", "male"] == pytest.approx(0.7)
    assert found["net_neutral", "female"] == pytest.approx(0.625)
    assert found["net_neutral_gap", "all"] == pytest.approx(0.075)
    assert found["fraction_neutral_gap", "all"] == pytest.approx(1.0 - 0.5)
    assert found["neutral_spread", "all"] == pytest.approx(np.std([0.8, 0.3, 0.6, 0.95], ddof=1))


def test_trap_the_uniform_and_the_always_neutral_model_are_references():
    uniform, neutral = values(rows(np.full((6, 3), 1 / 3))), values(rows([[0, 1, 0]] * 6))
    for s in bias_nli.summarize(rows(np.full((6, 3), 1 / 3)), bias_nli.Settings()):
        if s.name != "neutral_spread" and s.higher_is != "count":
            # How often random weights are above a threshold depends on their size: no value is stated.
            stated = 0.0 if s.name.startswith("threshold") and s.random is None else s.random
            assert uniform[s.name, s.group] == pytest.approx(stated), s.name
            assert neutral[s.name, s.group] == pytest.approx(s.unbiased), s.name
    assert (uniform["tied", "all"], neutral["tied", "all"]) == (6, 0)
    assert uniform["neutral_spread", "all"] == neutral["neutral_spread", "all"] == 0


def test_ties_are_shared():
    assert list(bias_nli.neutral_share(np.array([[0.4, 0.4, 0.2], [0.4, 0.2, 0.4], [0.2, 0.5, 0.3]]))) == [0.5, 0, 1]


def test_weights_count_items():
    generator = np.random.default_rng(2)
    items = rows(generator.dirichlet([1, 2, 1], size=8))
    weights = generator.integers(1, 4, size=(3, 8)).astype(float)
    for s in bias_nli.summarize(items, bias_nli.Settings()):
        if s.higher_is == "count":
            assert not s.sampled
            continue
        repeated = [items.loc[np.repeat(np.arange(8), row.astype(int))].reset_index(drop=True) for row in weights]
        assert s.estimate(weights) == pytest.approx([values(each)[s.name, s.group] for each in repeated]), s.name


def test_trap_scores_do_not_depend_on_the_order_of_the_labels(words, tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path / "m"))
    settings = bias_nli.Settings(sample=30)
    items = bias_nli.score(Scoring(cp, {"words": [words]}), settings)
    assert list(items["item"]) == sorted(set(items["item"]))
    assert items[[f"p_{name}" for name in bias_nli.LABELS]].sum(axis=1).to_numpy() == pytest.approx(1)
    order = [2, 0, 1]
    head = cp.model.classifier
    head.weight.data, head.bias.data = head.weight.data[order].clone(), head.bias.data[order].clone()
    turned = replace(cp, labels=tuple(cp.labels[at].upper() for at in order))
    pd.testing.assert_frame_equal(bias_nli.score(Scoring(turned, {"words": [words]}), settings), items, atol=1e-6)


def test_trap_every_pair_of_a_batch_is_kept_as_one_at_a_time(words, tmp_path, monkeypatch):
    cp = checkpoints.load(tiny.tiny_roberta("classification", tmp_path / "m"))
    items = bias_nli.score(Scoring(cp, {"words": [words]}), bias_nli.Settings(sample=20))
    for row in items.iloc[::6].itertuples():
        logits = outputs.sequence_logits(cp, [row.premise], [row.hypothesis])[0]
        expected = np.exp(logits) / np.exp(logits).sum()
        assert [row.p_entailment, row.p_neutral, row.p_contradiction] == pytest.approx(expected, abs=1e-5)
    monkeypatch.setattr(running, "token_budget", lambda cp: 64)
    again = bias_nli.score(Scoring(cp, {"words": [words]}), bias_nli.Settings(sample=20))
    pd.testing.assert_frame_equal(again, items, atol=1e-5)


def test_labels_that_are_not_nli():
    with pytest.raises(UserError, match="LABEL_0"):
        bias_nli.label_columns(("LABEL_0", "LABEL_1", "LABEL_2"))


def test_trap_the_article_is_a_named_variant_and_changes_nothing_else(words, tmp_path):
    """The paper writes "The accountant"; its authors' program "An accountant"."""
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path / "article"))
    given = Scoring(cp, {"words": [words]})
    the, an = (bias_nli.score(given, bias_nli.Settings(sample=42, article=each)) for each in ("definite", "indefinite"))
    assert list(the["item"]) == list(an["item"]) and bias_nli.Settings().article == "definite"
    for column in ("premise", "hypothesis"):
        for one, other in zip(the[column], an[column], strict=True):
            subject, begins = one.removeprefix("The "), other.split(" ")[0]
            assert other == f"{begins} {subject}"
            assert begins == ("An" if subject.startswith(("accountant", "engineer", "actor")) else "A")
    assert (the["p_neutral"] != an["p_neutral"]).all()
