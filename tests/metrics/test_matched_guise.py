"""Matched guise: associations against one sentence at a time, statistics by hand, lists and files."""

import numpy as np
import pandas as pd
import pytest
import slow_scores as slow
from tiny import tiny_bert, tiny_llama, tiny_roberta

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.matched_guise import metric as matched_guise
from fairshrink.models import checkpoint as checkpoints
from fairshrink.resources import json_file

BUILDS = ((tiny_bert, "masked_lm"), (tiny_roberta, "masked_lm"), (tiny_llama, "causal_lm"))
OWN = json_file(matched_guise.__file__, "matched_guise.json")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {build.__name__: checkpoints.load(build(head, folder / build.__name__)) for build, head in BUILDS}


def pairs(folder, text="He poor.\tHe is poor.\nMy sister happy.\tMy sister is happy.\n"):
    (folder / "pairs.txt").write_text(text)
    return {"pairs": [folder / "pairs.txt"]}


def by_hand(cp, frame, text, word):
    """The sum over the word's pieces, the last ones like it: all masked, or given what is to their left."""
    causal = cp.head == "causal_lm"
    spelled = word if cp.tokenizer.cls_token == "[CLS]" else " " + word
    mine = cp.tokenizer(spelled, add_special_tokens=False)["input_ids"]
    whole = frame.replace("{text}", text).replace("{adjective}", word)
    ids = cp.tokenizer(whole, add_special_tokens=not causal)["input_ids"]
    at = max(i for i in range(len(ids)) if ids[i : i + len(mine)] == mine)
    places = range(at, at + len(mine))
    if causal:
        log_p = slow.causal(cp.model, [cp.tokenizer.bos_token_id, *ids])
        return sum(log_p[i] for i in places)
    hidden = [cp.tokenizer.mask_token_id if i in places else token for i, token in enumerate(ids)]
    return sum(slow.masked(cp.model, hidden, i, ids[i]) for i in places)


@pytest.mark.parametrize("build", [build for build, _ in BUILDS])
def test_scores_equal_one_sentence_at_a_time(build, models, tmp_path):
    cp, data = models[build.__name__], pairs(tmp_path)
    rows = matched_guise.score(Scoring(cp, data), matched_guise.Settings(sample=12, seed=3))
    assert len(rows) == 12 and rows["skipped"].eq("").sum() > 4
    listed = [line.split("\t") for line in data["pairs"][0].read_text().splitlines()]
    for row in rows[rows["skipped"] == ""].itertuples():
        dialect, standard = listed[int(row.cluster.split("/")[1])]
        frame = OWN["frames"][int(row.sentence.split("/")[2])]
        assert row.adjective in OWN["adjectives"][row.group] and row.feature == "pairs"
        for column, text, word in (
            ("dialect", dialect, row.adjective), ("standard", standard, row.adjective),
            ("misfit_dialect", dialect, "of"), ("misfit_standard", standard, "of"),
        ):  # fmt: skip
            assert getattr(row, column) == pytest.approx(by_hand(cp, frame, text, word), abs=3e-4)


def test_a_uniform_model_ties_everywhere(tmp_path):
    cp = slow.silence(checkpoints.load(tiny_llama("causal_lm", tmp_path / "model", max_position_embeddings=128)))
    rows = matched_guise.score(Scoring(cp, pairs(tmp_path)), matched_guise.Settings())
    found = {(s.name, s.group): s.value(len(rows)) for s in matched_guise.summarize(rows, matched_guise.Settings())}
    assert found["negative_difference", "all"] == found["mean_association", "negative"] == 0
    assert found["tied", "all"] == len(rows) == 2 * 4 * 16 and found["against_share", "all"] == 0


def table():
    """Two sentences; adjectives: negative x and y, positive z."""
    rows = pd.DataFrame(
        [
            ("s1", "x", "negative", "be", -1.0, -2.0),
            ("s1", "y", "negative", "be", -3.0, -3.0),
            ("s1", "z", "positive", "be", -5.0, -4.0),
            ("s2", "x", "negative", "done", -2.0, -1.0),
            ("s2", "y", "negative", "done", -2.0, -2.0),
            ("s2", "z", "positive", "done", -1.0, -1.5),
        ],
        columns=["sentence", "adjective", "group", "feature", "dialect", "standard"],
    )
    return rows.assign(
        item=rows["sentence"] + rows["adjective"], cluster=rows["sentence"], skipped="",
        misfit_dialect=-9.0, misfit_standard=-8.0,
    )  # fmt: skip


def test_a_table_worked_by_hand():
    """Associations: 1, 0 against -1 in the first sentence; -1, 0 against 0.5 in the second."""
    rows = table()
    found = {(s.name, s.group): s.value(6) for s in matched_guise.summarize(rows, matched_guise.Settings())}
    assert found["negative_difference", "be"] == 1.5 and found["negative_difference", "done"] == -1.0
    assert found["mean_association", "negative"] == 0 and found["mean_association", "positive"] == -0.25
    assert found["negative_difference", "all"] == 0.25
    assert found["against_share", "all"] == 50 and found["tied", "all"] == 2 and found["skipped", "all"] == 0
    (contrast,) = matched_guise.signal(rows, matched_guise.Settings()).contrasts
    np.testing.assert_allclose(contrast.values[:2], [-1.5 + 8.5, -3.0 + 8.5])


def test_exchanging_the_guises_changes_the_sign():
    rows = table()
    swapped = rows.rename(columns={"dialect": "standard", "standard": "dialect"})
    one, other = (
        {(s.name, s.group): s.value(6) for s in matched_guise.summarize(each, matched_guise.Settings())}
        for each in (rows, swapped)
    )
    for key, value in one.items():
        if key[0] in ("negative_difference", "mean_association"):
            assert other[key] == -value


def test_own_pairs_differ_and_adjectives_are_as_many_of_either_kind():
    every = [tuple(pair) for listed in OWN["pairs"].values() for pair in listed]
    assert len(every) == len(set(every)) == 24 and all(one != other for one, other in every)
    assert len({text for pair in every for text in pair}) == 48
    negative, positive = (OWN["adjectives"][each] for each in ("negative", "positive"))
    assert len(set(negative)) == len(set(positive)) == 8 and not set(negative) & set(positive)
    assert all(frame.count("{text}") == frame.count("{adjective}") == 1 for frame in OWN["frames"])


def test_a_sentence_that_is_too_long_is_skipped(models, tmp_path):
    rows = matched_guise.score(
        Scoring(models["tiny_bert"], pairs(tmp_path, "He poor.\t" + "He is poor. " * 30)), matched_guise.Settings()
    )
    assert "too long for the model" in set(rows["skipped"])
    assert (rows["skipped"] != "").all() and rows["dialect"].isna().all()
    assert matched_guise.signal(rows, matched_guise.Settings()).values.shape == (64,)


def test_a_file_that_has_no_pairs_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"line 2: 'He is poor\.' is no pair"):
        matched_guise.read_pairs(pairs(tmp_path, "He poor.\tHe is poor.\nHe is poor.\n")["pairs"])
