from __future__ import annotations

import re
from collections import Counter
from typing import get_args

import pytest
import tiny

from fairshrink.contracts import Scoring
from fairshrink.metrics._shared.association import published
from fairshrink.metrics.seat import metric as seat
from fairshrink.models import checkpoint as checkpoints
from fairshrink.resources import json_file

WORDS = sorted({word for entry in published()["lists"].values() for word in entry["words"]})


def test_every_word_has_one_grammar():
    grammar = json_file(seat.__file__, "seat.json")
    nouns = {form: kind for kind, pairs in grammar["nouns"].items() for pair in pairs for form in pair}
    named = {name for each in grammar["person_name_lists"] for name in published()["lists"][each]["words"]}
    kinds = Counter(word for words in grammar["words"].values() for word in words)
    kinds.update(set(nouns) & set(WORDS))
    kinds.update(named)
    assert {word: kinds[word] for word in WORDS} == dict.fromkeys(WORDS, 1)
    assert set(kinds) <= set(WORDS)


@pytest.mark.parametrize("word", WORDS)
def test_sentences_are_sentences(word):
    made = seat.sentences(word)
    assert len(set(made)) == len(made) >= 3
    for sentence in made:
        assert re.fullmatch(r"[A-Z][A-Za-z' -]*\.", sentence), sentence
        assert not re.search(r"\b[Aa] (?!European|Ukrainian)[aeiouAEIOU]", sentence), sentence
        assert not re.search(r"\b[Aa]n (?!hono)[^aeiouAEIOU]", sentence), sentence


@pytest.mark.parametrize(
    ("word", "some"),
    [
        ("novel", {"This is a novel.", "Those are novels.", "Novels are things.", "The novel is there."}),
        ("equations", {"This is an equation.", "These are equations.", "Equations are things."}),
        ("children", {"That is a child.", "They are children.", "Children are people.", "A child is a person."}),
        ("honor", {"This is an honor.", "An honor is a thing."}),
        ("European American", {"This is a European American.", "European Americans are people."}),
        ("Ukrainian American", {"A Ukrainian American is a person."}),
        ("Irish American", {"Here is an Irish American."}),
        ("uncle", {"This is an uncle.", "The uncles are here."}),
        ("businesses", {"Businesses are things."}),
        ("aster", {"This is an aster.", "Asters are things."}),
        ("fly", {"The flies are here.", "A fly is a thing."}),
        ("knife", {"These are knives."}),
        ("teargas", {"This is teargas."}),
        ("Amy", {"This is Amy.", "Amy is here.", "Amy is a person."}),
        ("NASA", {"This is NASA.", "NASA is there."}),
        ("he", {"He is here.", "There he is.", "He is a person."}),
        ("her", {"It is her."}),
        ("hers", {"This is hers.", "Hers is here."}),
        ("math", {"This is math.", "It is math."}),
        ("short-term", {"They are short-term."}),
        ("stink", {"This will stink.", "That may stink."}),
        ("always", {"This is always so."}),
    ],
)
def test_words_are_put_into_sentences_by_their_grammar(word, some):
    assert some <= set(seat.sentences(word))


def test_names_are_not_things_and_mass_nouns_have_no_plural():
    assert not any(re.search(r"\b(a|an|the|these|things)\b", s, re.I) for s in seat.sentences("NASA"))
    assert not any("physicses" in s or " a " in s for s in seat.sentences("physics"))
    with pytest.raises(KeyError, match="table"):
        seat.sentences("table")


def test_rows_are_sentences_clustered_by_word(tmp_path):
    cp = checkpoints.load(tiny.tiny_roberta("encoder", tmp_path / "m"))
    items = seat.score(Scoring(cp), seat.Settings(tests=["seat6", "seat6b"]))
    assert list(items["item"]) == sorted(set(items["item"]))
    for group in ("seat6", "seat6b"):
        rows = items[items["group"] == group]
        lists = published()["tests"][group.removeprefix("seat")]
        words = {word: side for side in "XY" for word in published()["lists"][lists[side]]["words"]}
        assert dict(zip(rows["cluster"], rows["set"], strict=True)) == words
        assert sorted(rows["text"]) == sorted(s for word in words for s in seat.sentences(word))
    found = {(s.name, s.group) for s in seat.summarize(items, seat.Settings())}
    assert {("effect_size", "seat6b"), ("permutation_p", "seat6"), ("mean_effect_size", "all"), seat.HEADLINE} <= found


def test_fewer_sentences_per_word_are_spread_over_the_templates(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    items = seat.score(Scoring(cp), seat.Settings(tests=["seat7"], sentences_per_word=4))
    assert set(items.groupby("cluster").size()) == {4}
    novel = set(items.loc[items["cluster"] == "novel", "text"])
    assert any(s.endswith("novels.") or s.startswith("Novels") for s in novel)
    assert any(" a novel" in s for s in novel)


def test_causal_models_are_read_at_their_last_token(tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "m"))
    last = seat.score(Scoring(cp), seat.Settings(tests=["seat9"]))
    mean = seat.score(Scoring(cp), seat.Settings(tests=["seat9"], pooling="mean"))
    assert (set(last["pooling"]), set(mean["pooling"])) == ({"last"}, {"mean"})
    assert abs(last["association"] - mean["association"]).max() > 1e-4


def test_names_of_the_tests():
    assert [f"seat{number}" for number in published()["tests"]] == list(get_args(seat.Name))


def test_neutral_tests_are_scored_whatever_tests_are_chosen(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    items = seat.score(Scoring(cp), seat.Settings(tests=["seat9"], sentences_per_word=2))
    assert items.groupby("group")["cluster"].nunique().to_dict() == {"seat1": 50, "seat2": 50, "seat9": 12}
