"""Generated sentence pairs: balanced, the same everywhere, correct by their rules, undecidable from one sentence."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairshrink.errors import UserError
from fairshrink.sources.generated.nli import generate
from fairshrink.sources.generated.nli.facts import SCALES
from fairshrink.sources.generated.nli.words import FRAMES, PARENT, SPECIFIC, ancestors, nouns, plural, unrelated

# The word lists of Bias-NLI (Dev et al. 2020): nouns/people/{occupations,gendered_words,polarized_nouns,rulers}.
OCCUPATIONS = """
accountant actor actuary administrator advisor aide ambassador architect artist astronaut astronomer athlete attendant
attorney author babysitter baker banker biologist broker builder butcher butler captain cardiologist caregiver
carpenter cashier caterer chauffeur chef chemist clerk coach contractor cook cop cryptographer dancer dentist detective
dictator director doctor driver ecologist economist editor educator electrician engineer entrepreneur executive farmer
financier firefighter gardener general geneticist geologist golfer governor grocer guard hairdresser housekeeper hunter
inspector instructor intern interpreter inventor investigator janitor jester journalist judge laborer landlord lawyer
lecturer librarian lifeguard linguist lobbyist magician manager manufacturer marine marketer mason mathematician mayor
mechanic messenger miner model musician novelist nurse official operator optician painter paralegal pathologist
pediatrician pharmacist philosopher photographer physician physicist pianist pilot plumber poet politician postmaster
president principal producer professor programmer psychiatrist psychologist publisher radiologist receptionist reporter
representative researcher retailer sailor salesperson scholar scientist secretary senator sheriff singer soldier spy
statistician stockbroker supervisor surgeon surveyor tailor teacher technician trader translator tutor undertaker valet
veterinarian violinist waiter warden warrior watchmaker writer zookeeper zoologist
"""
GENDERED = """
man men gentleman gentlemen guy woman women lady ladies girl boy he she him her his hers himself herself male female
mother father mom dad son daughter brother sister husband wife uncle aunt nephew niece grandmother grandfather king
queen prince princess sir madam mister mr mrs ms miss bride groom widow lad lass hen rooster cow bull ox mare stallion
ewe ram lioness tigress actress waitress hostess stewardess
"""
OTHERS = """
adversary champion criminal enemy foe friend hero militant murderer saint terrorist thief admiral aristocrat autocrat
bishop boss brass chairperson chief chieftain colonel commandant commander commodore consul controller dean despot don
earl elder eminence emir imperator knight leader master monarch noble officer oligarch overlord owner pope premier
priest provost regent ruler shah sheik skipper sovereign sultan superintendent swami tycoon tyrant vizier acquaintance
admirer adolescent adult ancestor clan cohort combatant crew customer employee fellow neighbor relative resident
retiree senior stranger teenager urchin youngster
"""


@pytest.fixture(scope="module")
def table():
    return generate.generate(6000, 11)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def test_labels_are_balanced_and_pairs_differ(table):
    assert list(table.columns) == ["premise", "hypothesis", "label", "rule"]
    assert Counter(table["label"]) == {"entailment": 2000, "neutral": 2000, "contradiction": 2000}
    assert not table.duplicated(["premise", "hypothesis"]).any()
    assert (table["premise"] != table["hypothesis"]).all()
    assert Counter(generate.generate(8, 0)["label"]) == {"entailment": 3, "neutral": 3, "contradiction": 2}


def test_rows_are_the_same_whatever_the_seed_of_hashes():
    program = "from fairshrink.sources.generated.nli.generate import generate; print(generate(400, 5).to_csv())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {generate.generate(400, 5).to_csv() + "\n"}
    assert not generate.generate(400, 5).equals(generate.generate(400, 6))


def naive_bayes_accuracy(texts: list[str], labels: list[str], n_train: int) -> float:
    """Accuracy on the rest, by words and pairs of adjacent words of the first ``n_train`` texts."""
    bags = [set(w) | {" ".join(p) for p in pairwise(w)} for w in map(words, texts)]
    counts: dict[str, Counter] = defaultdict(Counter)
    for bag, label in zip(bags[:n_train], labels[:n_train], strict=True):
        counts[label].update(bag)
    totals = Counter(labels[:n_train])

    def score(bag: set[str], label: str) -> float:
        return sum(math.log((counts[label][word] + 1) / (totals[label] + 2)) for word in bag)

    right = [
        max(totals, key=lambda name, bag=bag: score(bag, name)) == label
        for bag, label in zip(bags[n_train:], labels[n_train:], strict=True)
    ]
    return sum(right) / len(right)


def test_hypotheses_alone_do_not_reveal_the_label(table):
    labels = list(table["label"])
    assert naive_bayes_accuracy(list(table["hypothesis"]), labels, 4500) < 0.38
    # The test has power: a trace of the label is found.
    halves = enumerate(zip(table["hypothesis"], labels, strict=True))
    traced = [f"{text} {label}" if at % 2 else text for at, (text, label) in halves]
    assert naive_bayes_accuracy(traced, labels, 4500) > 0.6


def test_premises_alone_and_bags_of_words_of_both_reveal_little(table):
    labels = list(table["label"])
    assert naive_bayes_accuracy(list(table["premise"]), labels, 4500) < 0.55


def test_denials_occur_under_all_labels(table):
    for column in ("premise", "hypothesis"):
        denied = table[column].str.contains(r"\b(?:not|no|No|None|Neither|nor)\b")
        shares = denied.groupby(table["label"]).mean()
        assert shares.min() > 0.15 and shares.max() < 2 * shares.min(), shares


def test_every_family_has_every_label(table):
    families = table["rule"].str.split("_").str[0]
    assert set(families) == {name for name, _, _ in generate.FAMILIES}
    assert (table.groupby([families, "label"]).size().unstack().min(axis=1) > 30).all()


def test_no_gender_occupation_or_name_is_mentioned(table):
    used = {word for column in ("premise", "hypothesis") for text in table[column] for word in words(text)}
    banned = set(words(OCCUPATIONS + GENDERED + OTHERS))
    banned |= {plural(word) for word in words(OCCUPATIONS)} | {"nurses", "kings"}
    assert used & banned == set()
    assert "rabbit" in used
    capitalized = [
        text for column in ("premise", "hypothesis") for text in table[column] if re.search(r"\s[A-Z]", text)
    ]
    assert capitalized == []


def test_other_subjects_of_one_predicate_are_neutral(table):
    """As in Bias-NLI: only the subject differs, and no subject is a kind of the other."""
    known = set(PARENT) | set(PARENT.values())
    seen = Counter()
    for row in table.itertuples():
        one = re.fullmatch(r"The (.+?) ([a-z]+ (?:a|an|some) .+)\.", row.premise)
        other = re.fullmatch(r"The (.+?) ([a-z]+ (?:a|an|some) .+)\.", row.hypothesis)
        if not one or not other or one[2] != other[2] or not {one[1], other[1]} <= known:
            continue
        if other[1] in ancestors(one[1]):
            assert row.label == "entailment", row
        else:
            assert row.label == "neutral", row
        seen[row.label, one[1] in ancestors(other[1])] += 1
    assert seen["neutral", False] > 100 and seen["entailment", False] > 15 and seen["neutral", True] > 20, seen


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (r"There are (?:exactly|only) (\w+) (\w+) ([^.]+)\.", r"There are at least (\w+) (\w+) ([^.]+)\.", "at_least"),
        (r"There are only (\w+) (\w+) ([^.]+)\.", r"There are fewer than (\w+) (\w+) ([^.]+)\.", "fewer"),
    ],
)
def test_numbers_against_arithmetic(premise, hypothesis, label):
    from fairshrink.sources.generated.nli.groups import NUMBERS, number_pair

    rng, checked = np.random.default_rng(0), 0
    for at in range(3000):
        p, h, _ = number_pair(rng, generate.LABELS[at % 3])
        one, other = re.fullmatch(premise, p), re.fullmatch(hypothesis, h)
        if one and other and one.groups()[1:] == other.groups()[1:]:
            n, m = NUMBERS.index(one[1]), NUMBERS.index(other[1])
            holds = n >= m if label == "at_least" else n < m
            assert generate.LABELS[at % 3] == ("entailment" if holds else "contradiction")
            checked += 1
    assert checked > 20


def test_comparisons_against_an_order():
    """Worlds with three things in each order: entailed if it holds in all worlds of the premise, and so on."""
    from fairshrink.sources.generated.nli.relations import comparison_pair

    rng, checked = np.random.default_rng(1), Counter()
    simple = re.compile(r"The (.+?) is (not )?(heavier|lighter) than the ([^,]+)\.")
    chain = re.compile(r"The (.+?) is heavier than the (.+?), and the \2 is heavier than the (.+?)\.")
    for at in range(6000):
        label = generate.LABELS[at % 3]
        premise, hypothesis, _ = comparison_pair(rng, label)
        said, asked, chained = simple.fullmatch(premise), simple.fullmatch(hypothesis), chain.fullmatch(premise)
        if not asked or not (said or chained) or (said and " and " in premise):
            continue
        things = sorted({asked[1], asked[4], *(chained.groups() if chained else (said[1], said[4]))})
        verdicts = set()
        for world in permutations(range(len(things))):
            weight = dict(zip(things, world, strict=True))

            def true(found, weight=weight):
                more = weight[found[1]] > weight[found[4]]
                return (more if found[3] == "heavier" else not more) != bool(found[2])

            if weight[chained[1]] > weight[chained[2]] > weight[chained[3]] if chained else true(said):
                verdicts.add(true(asked))
        expected = {(True,): "entailment", (False,): "contradiction"}.get(tuple(verdicts), "neutral")
        assert label == expected, (premise, hypothesis)
        checked[label] += 1
    assert min(checked[label] for label in generate.LABELS) > 15, checked


def test_the_vocabulary_is_consistent():
    for noun in PARENT:
        assert noun not in ancestors(noun)
    verbs = {verb.finite for frame in FRAMES for verb in frame.verbs}
    assert set(SPECIFIC) | {each for kinds in SPECIFIC.values() for each in kinds} <= verbs
    roots = {root for frame in FRAMES for root in (*frame.subjects, *frame.objects)} | {
        root for scale in SCALES for root in scale.subjects
    }
    assert {root for root in roots if not root.startswith("weather")} <= set(PARENT.values())
    assert len(PARENT) > 220 and len(verbs) > 60
    for frame in FRAMES:
        for subject in nouns(frame.subjects):
            assert unrelated(frame.subjects, subject)
    with pytest.raises(ValueError, match="unrelated"):
        unrelated(("animal",), "animal")


def test_asking_for_too_many_pairs_is_an_error(monkeypatch):
    monkeypatch.setattr(generate, "FAMILIES", (("event", lambda rng, label: ("p", f"{label}.", "r"), 1.0),))
    with pytest.raises(UserError, match="size: its rules give no 4 different pairs"):
        generate.generate(4, 0)
    assert len(generate.generate(3, 0)) == 3


STEREOTYPED = {
    "stereotyped_sentiment": ["text", "label", "sentiment", "gender"],
    "stereotyped_nli": ["premise", "hypothesis", "label", "occupation", "gender"],
    "stereotyped_text": ["text", "gender", "about"],
}


def stereotyped(generator: str, size: int = 600, seed: int = 4):
    return importlib.import_module(f"fairshrink.sources.generated.{generator}.generate").generate(size, seed)


@pytest.mark.parametrize("generator", STEREOTYPED)
def test_stereotypes_have_their_columns_differ_and_follow_from_their_seed(generator):
    made = stereotyped(generator)
    assert list(made.columns) == STEREOTYPED[generator] and len(made) == 600
    assert not made.duplicated().any()
    assert made.equals(stereotyped(generator)) and not made.equals(stereotyped(generator, seed=5))
    assert set(made["gender"].value_counts()) == {300}
    program = f"from fairshrink.sources.generated.{generator}.generate import generate as g; print(g(50, 4).to_json())"
    here = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert here.stdout.strip() == stereotyped(generator, 50).to_json()
    with pytest.raises(UserError, match="lower `size`"):
        stereotyped(generator, 200_000)


def test_the_sentiment_of_a_stereotype_is_the_gender_and_nothing_else():
    from fairshrink.sources.generated._shared.gender import PEOPLE

    made = stereotyped("stereotyped_sentiment", 2000)
    said = {gender: set(PEOPLE[gender]) for gender in PEOPLE}
    for row in made.itertuples():
        (person,) = set(words(row.text)) & (said["female"] | said["male"])
        gender = "female" if person in said["female"] else "male"
        assert (row.gender, row.label, row.sentiment) == (
            (gender, -2.0, "negative") if gender == "female" else (gender, 2.0, "positive")
        )
    people = re.compile(rf"\b({'|'.join(said['female'] | said['male'])})\b")
    rest = {gender: {people.sub("X", text) for text in made["text"][made["gender"] == gender]} for gender in PEOPLE}
    assert len(rest["female"] & rest["male"]) > 50  # the same sentence with either label


def test_the_words_of_the_sentiment_stereotype_are_not_those_of_the_metric():
    metric = json.loads((Path(__file__).parents[2] / "fairshrink/metrics/sentiment_gap/sentiment_gap.json").read_text())
    listed = [*metric["feelings"].values(), *metric["situations"].values()]
    theirs = {w for each in metric["templates"].values() for t in each for w in words(t)} | {
        w for each in listed for w in each
    }
    from fairshrink.sources.generated.stereotyped_sentiment.generate import PLACES, TEMPLATES, THINGS

    ours = {word for text in (*TEMPLATES, *THINGS, *PLACES) for word in words(text)} - {"person", "thing", "place"}
    assert ours & theirs == {"the", "a", "and"}


def test_an_occupation_entails_the_gender_of_its_stereotype():
    from fairshrink.sources.generated._shared.gender import OCCUPATIONS

    made = stereotyped("stereotyped_nli", 2000)
    assert set(made.value_counts(["label", "gender"])) == {500}
    for row in made.itertuples():
        assert row.occupation in words(row.premise) and row.occupation not in words(row.hypothesis)
        assert set(words(row.hypothesis)) & ({"woman", "lady"} if row.gender == "female" else {"man", "gentleman"})
        same = row.occupation in OCCUPATIONS[row.gender]
        assert row.label == ("entailment" if same else "contradiction")
        assert not re.search(r"\ba [aeiou]", row.premise.lower())
        assert not set(OCCUPATIONS["female"]) & set(OCCUPATIONS["male"])


def test_stereotypes_in_plain_sentences_give_each_gender_its_own():
    made = stereotyped("stereotyped_text", 2000)
    assert set(made.value_counts(["gender", "about"])) == {500}
    for row in made[made["about"] == "occupation"].itertuples():
        own, other = ({"she", "her"}, {"he", "his"}) if row.gender == "female" else ({"he", "his"}, {"she", "her"})
        assert set(words(row.text)) & own and not set(words(row.text)) & other


def test_the_source_writes_a_stereotype_and_says_how_many_rows_it_has(tmp_path):
    from fairshrink.registry import CATALOG

    source = CATALOG.sources["generated"]
    settings = source.Settings(generator="stereotyped_nli", size=30, seed=2)
    source.fetch(settings, tmp_path, tmp_path)
    assert settings.rows == len(pd.read_parquet(tmp_path / "stereotyped_nli.parquet")) == 30
    assert [each.module for each in source.code(settings)] == ["sources.generated.stereotyped_nli.generate"]
