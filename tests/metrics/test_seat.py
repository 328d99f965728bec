from __future__ import annotations

import json
import re
from collections import Counter
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.association import published, read_tests
from fairshrink.metrics.seat import metric as seat
from fairshrink.metrics.seat import published as published_files
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.inference import outputs
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


@pytest.mark.parametrize("start", [False, True])
def test_a_start_token_precedes_sentences_of_causal_models_where_the_tokenizer_adds_none(start, tmp_path):
    cp = checkpoints.load(tiny.tiny_llama("causal_lm", tmp_path / "m"))
    items = seat.score(Scoring(cp), seat.Settings(tests=["seat9"], start_token=start)).query("group == 'seat9'")
    vectors = {}
    (test,) = read_tests("seat", ["9"], seat.sentences)
    for text in {each.text for part in (test.x, test.y, test.a, test.b) for each in part}:
        ids = [cp.tokenizer.bos_token_id] * start + cp.tokenizer(text)["input_ids"]
        with torch.no_grad():
            hidden = cp.model.base_model(torch.tensor([ids])).last_hidden_state[0, -1].double().numpy()
        vectors[text] = hidden / np.linalg.norm(hidden)
    a, b = (np.mean([vectors[each.text] for each in part], axis=0) for part in (test.a, test.b))
    slow = [vectors[text] @ (a - b) for text in items["text"]]
    np.testing.assert_allclose(items["association"], slow, atol=1e-5)


def test_a_start_token_changes_nothing_where_the_tokenizer_adds_its_own(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    one, other = (seat.score(Scoring(cp), seat.Settings(tests=["seat9"], start_token=each)) for each in (False, True))
    pd.testing.assert_frame_equal(one, other)


def test_names_of_the_tests():
    assert [f"seat{number}" for number in published()["tests"]] == list(get_args(seat.Name))


def test_neutral_tests_are_scored_whatever_tests_are_chosen(tmp_path):
    cp = checkpoints.load(tiny.tiny_bert("encoder", tmp_path / "m"))
    items = seat.score(Scoring(cp), seat.Settings(tests=["seat9"], sentences_per_word=2))
    assert items.groupby("group")["cluster"].nunique().to_dict() == {"seat1": 50, "seat2": 50, "seat9": 12}


def write_test(folder, name="sent-weat8.jsonl", **changed):
    """A file in the published format, of sentences as the published ones are: wrong articles, repeats and all."""
    sets = {
        "targ1": [
            "This is a guitar.",
            "Those are guitars.",
            "A onion is a thing.",
            "Onions are things.",
            "It is NASA.",
        ],
        "targ2": ["This is a house.", "The houses are here.", "It is a film.", "It is a film.", "Films are things."],
        "attr1": ["He is here.", "This is his.", "The person's name is brother."],
        "attr2": ["She is here.", "These are sisters."],
    }
    content = {key: {"category": key, "examples": examples} for key, examples in sets.items()} | changed
    path = folder / name
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def d_of_the_published_program(cp, path, pooling):
    """The effect size one sentence and one cosine at a time; a sentence that is repeated is one key of a mapping."""
    content = json.loads(path.read_text())

    def vectors(key):
        made = {text: outputs.sentence_embeddings(cp, [text], pooling)[0] for text in content[key]["examples"]}
        return list(made.values())

    x, y, a, b = (vectors(key) for key in ("targ1", "targ2", "attr1", "attr2"))

    def cosine(u, v):
        return sum(p * q for p, q in zip(u, v, strict=True)) / (sum(p * p for p in u) * sum(q * q for q in v)) ** 0.5

    def s(w):
        return sum(cosine(w, each) for each in a) / len(a) - sum(cosine(w, each) for each in b) / len(b)

    both = [[s(w) for w in words] for words in (x, y)]
    pooled = [*both[0], *both[1]]
    mean = sum(pooled) / len(pooled)
    sd = (sum((each - mean) ** 2 for each in pooled) / (len(pooled) - 1)) ** 0.5
    return (sum(both[0]) / len(x) - sum(both[1]) / len(y)) / sd


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return checkpoints.load(tiny.tiny_bert("encoder", tmp_path_factory.mktemp("seat") / "m"))


@pytest.mark.parametrize("pooling", ["cls", "mean_all"])
def test_trap_published_sentences_give_the_published_effect_size_of_each_test(encoder, pooling, tmp_path):
    files = [
        write_test(tmp_path),
        write_test(tmp_path, "sent-angry_b.jsonl", attr2={"examples": ["A film.", "A car."]}),
    ]
    settings = seat.Settings(pooling=pooling)
    items = seat.score(Scoring(encoder, {"sentences": files}), settings)
    found = {(each.name, each.group): each.value(len(items)) for each in seat.summarize(items, settings)}
    tests = {"seat8": files[0], "sent-angry_b": files[1]}
    expected = {name: d_of_the_published_program(encoder, path, pooling) for name, path in tests.items()}
    for name, d in expected.items():
        assert found["effect_size", name] == pytest.approx(d, abs=1e-5)
    assert found["mean_effect_size", "all"] == pytest.approx(sum(expected.values()) / 2, abs=1e-5)
    assert found["mean_effect_size", "gender"] == pytest.approx(expected["seat8"], abs=1e-5)
    assert set(items["group"]) == {"seat1", "seat2", *tests}, "our neutral tests stand beside them"
    assert len(items[items["group"] == "seat8"]) == 9, "one sentence is in the file twice"
    signal = seat.signal(items, settings)
    assert signal.functional(signal.values[None], np.ones((1, len(items))))[0] == pytest.approx(
        found["mean_effect_size", "all"]
    )


def test_neutral_tests_of_the_files_take_the_place_of_ours(encoder, tmp_path):
    files = [write_test(tmp_path, f"sent-weat{number}.jsonl") for number in ("1", "2", "7")]
    items = seat.score(Scoring(encoder, {"sentences": files}), seat.Settings())
    assert items.groupby("group").size().to_dict() == dict.fromkeys(("seat1", "seat2", "seat7"), 9)


def test_sentences_about_one_word_belong_together():
    assert published_files.subjects(
        ["This is a science.", "Sciences are things.", "The person's name is Einstein.", "Einstein is here.",
         "These are physicses.", "The physics is there.", "This is an Irish American.", "Irish Americans are people.",
         "Those are knives.", "A knife is a thing.", "It is a thing.", "His is here."]
    ) == ["science", "science", "einstein", "einstein", "physics", "physics", "irish american", "irish american",
          "knife", "knife", "It is a thing.", "his"]  # fmt: skip


def test_settings_that_choose_own_sentences_are_refused_with_files(encoder, tmp_path):
    given = Scoring(encoder, {"sentences": [write_test(tmp_path)]})
    with pytest.raises(UserError, match="tests chooses among own sentences"):
        seat.score(given, seat.Settings(tests=["seat8"]))
    with pytest.raises(UserError, match="sentences_per_word chooses"):
        seat.score(given, seat.Settings(sentences_per_word=2))


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("sent-weat8.jsonl", {"targ1": {"category": "X"}}, "no list targ1 → examples"),
        ("sent-weat8.jsonl", {"attr1": {"examples": []}}, "attr1 has 0 examples"),
        ("sent-weat8.jsonl", {"attr2": {"examples": ["She.", " ", "Her."]}}, "attr2, example 2: ' ' is no sentence"),
        ("sent-weat8.jsonl", {"targ2": {"examples": ["It is NASA.", "A car."]}}, "'It is NASA.' is in both targ1 and"),
        ("gender.jsonl", {}, "a test called gender"),
    ],
)
def test_files_that_are_no_test_are_refused(tmp_path, name, changed, said):
    path = write_test(tmp_path, name, **changed)
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        published_files.read([path])
    assert str(path) in str(refused.value)


def test_a_test_is_named_once_and_is_whole(tmp_path):
    (tmp_path / "again").mkdir()
    path = write_test(tmp_path)
    with pytest.raises(UserError, match="two files of the test seat8"):
        published_files.read([path, write_test(tmp_path / "again", "seat8.jsonl")])
    path.write_text(path.read_text()[:300])
    with pytest.raises(UserError, match=r"sent-weat8\.jsonl is no JSON object .*line \d+"):
        published_files.read([path])
