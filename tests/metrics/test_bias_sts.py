from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.bias_sts import metric as bias_sts
from fairshrink.metrics.bias_sts import published
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import outputs, running
from fairshrink.resources import json_file

FILE = json_file(bias_sts.__file__, "bias_sts.json")


def rows(man, woman, other):
    names = {"cluster": [f"o{i % 3}" for i in range(len(man))], "template": [i // 3 for i in range(len(man))]}
    return pd.DataFrame(names | {"similarity_man": man, "similarity_woman": woman, "similarity_other": other})


def values(items):
    return {s.name: s.value(len(items)) for s in bias_sts.summarize(items, bias_sts.Settings())}


def test_stimuli_have_no_repeats_and_name_the_person_first():
    assert len(set(FILE["occupations"])) == len(FILE["occupations"]) == 60
    assert len(set(FILE["templates"])) == len(FILE["templates"]) == 20
    assert all(template.startswith("{A person} ") and template.endswith(".") for template in FILE["templates"])


def test_trap_articles_are_chosen_by_sound():
    starts = {
        bias_sts.sentence(person, 0).split(" is ")[0] for person in ("accountant", "usher", "nurse", "estate agent")
    }
    assert starts == {"An accountant", "An usher", "A nurse", "An estate agent"}


def test_sentences_compared_differ_only_in_the_person():
    for occupation, template in bias_sts.sample_items(None, 0)[::37]:
        pairs = bias_sts.comparisons(occupation, template)
        rest = FILE["templates"][template].replace("{A person}", "")
        for (here, there), person in zip(pairs[:2], ("A man", "A woman"), strict=True):
            assert here.endswith(f" {occupation}{rest}")
            assert there == person + rest
        here, elsewhere = pairs[2]
        assert not elsewhere.endswith(rest)
        assert elsewhere.startswith(("A man ", "A woman "))


def test_other_subjects_are_about_men_and_women_equally_often():
    items = bias_sts.sample_items(None, 0)
    persons = Counter(bias_sts.comparisons(*item)[2][1].split(" ")[1] for item in items)
    assert persons == {"man": 600, "woman": 600}


@pytest.mark.parametrize("sample", [60, 90, 240, 1200])
def test_the_sample_is_balanced(sample):
    items = bias_sts.sample_items(sample, 4)
    assert len(set(items)) == sample
    for part in (0, 1):
        counts = Counter(item[part] for item in items)
        assert len(counts) == (60, 20)[part]
        assert max(counts.values()) - min(counts.values()) <= 1
    assert items != bias_sts.sample_items(sample, 5)


def test_summary_worked_by_hand():
    items = rows([0.9, 0.6, 0.8], [0.7, 0.7, 0.8], [0.1, 0.0, 0.2])
    found = values(items)
    assert found["mean_absolute_difference"] == pytest.approx(0.1)
    assert found["mean_difference"] == pytest.approx(0.1 / 3)
    assert found["separation"] == pytest.approx((0.8 + 0.65 + 0.8) / 3 - 0.1)
    spread = np.std([0.9, 0.6, 0.8, 0.7, 0.7, 0.8, 0.1, 0.0, 0.2], ddof=1)
    assert found["similarity_spread"] == pytest.approx(spread)
    assert found["relative_difference"] == pytest.approx(0.1 / spread)


def test_weights_count_items():
    generator = np.random.default_rng(0)
    items = rows(*generator.uniform(size=(3, 7)))
    weights = generator.integers(1, 4, size=(4, 7)).astype(float)
    for s in bias_sts.summarize(items, bias_sts.Settings()):
        if s.name == "debiased_mean_square":  # an occupation drawn twice counts as two: tests/stats/test_magnitude.py
            continue
        if s.higher_is == "count":
            assert not s.sampled
            continue
        repeated = [items.loc[np.repeat(np.arange(7), row.astype(int))].reset_index(drop=True) for row in weights]
        assert s.estimate(weights) == pytest.approx([values(each)[s.name] for each in repeated]), s.name


def test_trap_a_dead_model_is_visible(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("regression", tmp_path / "m"))
    torch.nn.init.zeros_(cp.model.classifier.weight)
    found = values(bias_sts.score(Scoring(cp), bias_sts.Settings(sample=60)))
    assert found["mean_absolute_difference"] == 0
    assert found["similarity_spread"] == found["separation"] == 0
    assert np.isnan(found["relative_difference"])


def test_trap_regressions_are_scaled_by_the_range_of_their_labels(tmp_path, monkeypatch):
    cp = checkpoints.load(tiny.tiny_roberta("regression", tmp_path / "m"))
    settings = bias_sts.Settings(sample=12, score_range=(-1, 3))
    items = bias_sts.score(Scoring(cp), settings)
    for row in items.iloc[::5].itertuples():
        pairs = bias_sts.comparisons(row.cluster, row.template)
        raw = [outputs.sequence_logits(cp, [one], [other])[0, 0] for one, other in pairs]
        found = [row.similarity_man, row.similarity_woman, row.similarity_other]
        assert found == pytest.approx([(value + 1) / 4 for value in raw], abs=1e-5)
    monkeypatch.setattr(running, "token_budget", lambda cp: 100)
    pd.testing.assert_frame_equal(bias_sts.score(Scoring(cp), settings), items, atol=1e-5)


def test_embedding_models_are_compared_by_cosine(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    items = bias_sts.score(Scoring(cp), bias_sts.Settings(sample=12, pooling="cls"))
    assert list(items["item"]) == sorted(set(items["item"]))
    for row in items.iloc[::5].itertuples():
        for (one, other), found in zip(bias_sts.comparisons(row.cluster, row.template), row[-3:], strict=True):
            u, v = outputs.sentence_embeddings(cp, [one, other], "cls")
            assert found == pytest.approx(u @ v / np.sqrt((u @ u) * (v @ v)), abs=1e-5)


def test_a_reversed_range_is_rejected():
    with pytest.raises(ValueError, match="below the highest"):
        bias_sts.Settings(score_range=(5, 0))


ACTIONS = ("is slicing a onion .", "was playing the guitar .", "sold the car in the park .")
WORKERS = ("accountant", "bus driver", "nurse")


def write_pairs(folder):
    """Rows as in the published file: no header, the person first, "a" before every word."""
    rows = [
        [f"a man {action}", f"a {worker} {action}", f"a woman {action}", f"a {worker} {action}"]
        for action in ACTIONS
        for worker in WORKERS
    ]
    path = folder / "bias_evaluation_STS-B.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows) + "\n", encoding="utf-8")
    return path, rows


def test_trap_the_published_variant_scores_rows_in_their_order_and_in_points_of_the_labels(tmp_path):
    path, rows = write_pairs(tmp_path)
    cp = checkpoints.load(tiny.tiny_bert("regression", tmp_path / "m"))
    settings = bias_sts.Settings(sample=None)
    items = bias_sts.score(Scoring(cp, {"pairs": [path]}), settings)
    man, woman = (
        np.array([outputs.sequence_logits(cp, [row[at]], [row[at + 1]])[0, 0] for row in rows]) for at in (0, 2)
    )
    assert items["similarity_man"].to_numpy() == pytest.approx(man, abs=1e-5)
    assert items["similarity_woman"].to_numpy() == pytest.approx(woman, abs=1e-5)
    found = values(items)
    assert found["mean_absolute_difference"] == pytest.approx(np.abs(man - woman).mean(), abs=1e-5)
    assert found["mean_difference"] == pytest.approx((man - woman).mean(), abs=1e-5)
    turned = outputs.sequence_logits(cp, [row[1] for row in rows], [row[0] for row in rows])[:, 0]
    assert np.abs(turned - man).max() > 1e-3, "the order of a pair matters"
    assert items["cluster"].tolist() == list(WORKERS) * 3
    assert items["template"].nunique() == 3


def test_the_subject_elsewhere_is_another_rows_person(tmp_path):
    path, rows = write_pairs(tmp_path)
    persons = {sentence: at // 3 for at, row in enumerate(rows) for sentence in (row[0], row[2])}
    for at, row in enumerate(published.read([path], None, 0)):
        assert persons[row.elsewhere] == (at // 3 + 1) % 3
    drawn = published.read([path], 6, 1)
    assert {row.item for row in drawn} < {row.item for row in published.read([path], None, 0)}
    assert Counter(row.occupation for row in drawn) == dict.fromkeys(WORKERS, 2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a man is here .\ta nurse is here .", "lines 2, 4: not 4 sentences"),
        ("a man is here .\ta nurse is here .\t\ta nurse is here .", "lines 2, 4: not 4 sentences"),
        ("a man is here .\ta man is here .\ta woman is here .\ta woman is here .", "line 2: its first two sentences"),
    ],
)
def test_rows_that_are_no_pairs_are_named(tmp_path, line, said):
    path, rows = write_pairs(tmp_path)
    whole = "\t".join(rows[0])
    path.write_text(f"{whole}\n{line}\n{whole}\n{line}\n")
    with pytest.raises(UserError, match=said) as refused:
        published.read([path], None, 0)
    assert str(path) in str(refused.value)


def test_one_sentence_alone_does_not_tell_subjects_apart(tmp_path):
    path, rows = write_pairs(tmp_path)
    path.write_text("".join("\t".join(row) + "\n" for row in rows[:3]))
    with pytest.raises(UserError, match="at least two are needed"):
        published.read([path], None, 0)
