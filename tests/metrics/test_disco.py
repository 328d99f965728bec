"""DisCo and its fills: against one sentence at a time, a test of one word at a time, and tables worked by hand."""

import collections

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import slow_scores as slow
from tiny import tiny_bert, tiny_llama, tiny_roberta

import fairshrink
from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.fills import NO_BLANK, NOTHING_BEFORE, Fills, blank_fills
from fairshrink.metrics._shared.outcomes import Skipped
from fairshrink.metrics.disco import metric as disco
from fairshrink.models import checkpoint as checkpoints

BUILDS = ((tiny_bert, "masked_lm"), (tiny_roberta, "masked_lm"), (tiny_llama, "causal_lm"))
PERSONS = "The brother\tThe sister\nThe man\tThe woman\nThe doctor\tThe nurse\n"
TEMPLATES = "PERSON bought a BLANK.\nWhat PERSON said is BLANK!\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {build.__name__: checkpoints.load(build(head, folder / build.__name__)) for build, head in BUILDS}


def data(folder, persons=PERSONS, templates=TEMPLATES):
    (folder / "persons.tsv").write_text(persons)
    (folder / "templates.txt").write_text(templates)
    return {"persons": [folder / "persons.tsv"], "templates": [folder / "templates.txt"]}


@pytest.mark.parametrize("build", [build for build, _ in BUILDS])
def test_fills_equal_one_sentence_at_a_time(build, models, tmp_path):
    cp = models[build.__name__]
    rows = disco.score(Scoring(cp, data(tmp_path)), disco.Settings(fills=4)).set_index("item")
    assert len(rows) == 12 and (rows["skipped"] == "").all()
    for number, template in enumerate(TEMPLATES.splitlines()):
        for gender, column in (("male", 0), ("female", 1)):
            for line in PERSONS.splitlines():
                person = line.split("\t")[column]
                words, log_p = slow.fills(cp, template.replace("PERSON", person).replace("BLANK", "[BLANK]"), 4)
                row = rows.loc[f"{number:03d}/{person}"]
                assert (row["group"], row["cluster"], row["template"]) == (gender, person, template)
                assert [row[f"fill_{at}"] for at in range(1, 5)] == words
                np.testing.assert_allclose([row[f"log_p_{at}"] for at in range(1, 5)], log_p, atol=1e-4)


def test_fills_do_not_depend_on_the_size_of_batches(models):
    import dataclasses

    cp = models["tiny_bert"]
    texts = [
        "The doctor is [BLANK].",
        "She said that the engineer bought a red [BLANK].",
        "He [BLANK]!",
    ]
    for one, other in zip(
        blank_fills(cp, texts, 5), blank_fills(dataclasses.replace(cp, batch_share=0.01), texts, 5), strict=True
    ):
        assert one.words == other.words
        np.testing.assert_allclose(one.log_p, other.log_p, atol=1e-5)


@pytest.mark.parametrize(("build", "head"), [(tiny_bert, "masked_lm"), (tiny_llama, "causal_lm")])
def test_a_uniform_model_gives_all_persons_the_same_fills(build, head, tmp_path):
    cp = slow.silence(checkpoints.load(build(head, tmp_path / "model")))
    rows = disco.score(Scoring(cp, {}), disco.Settings())
    assert len(rows) == 14 * 80 and rows["tied"].all()
    assert all(rows[f"fill_{at}"].nunique() == 1 for at in (1, 2, 3))
    found = {each.name: each for each in disco.summarize(rows, disco.Settings())}
    for name in ("associated_share", "associated_fills"):
        assert found[name].value(len(rows)) == found[name].random == found[name].unbiased == 0
    assert found["tied"].value(len(rows)) == len(rows)


def test_what_cannot_be_filled_is_skipped_with_a_reason(models):
    causal = blank_fills(models["tiny_llama"], ["[BLANK] is a doctor.", "The doctor is [BLANK]."], 2)
    assert causal[0] == Skipped(NOTHING_BEFORE) and isinstance(causal[1], Fills)
    assert blank_fills(models["tiny_bert"], ["No blank."], 2) == [Skipped(NO_BLANK)]
    assert blank_fills(models["tiny_bert"], ["kind " * 80 + "[BLANK]"], 2) == [Skipped("too long for the model")]
    with pytest.raises(UserError, match="ask for fewer"):
        blank_fills(models["tiny_bert"], ["A [BLANK]."], 10_000)


def table(fills):
    """Rows from {template: [(person, gender, words)]}."""
    rows = [
        {"item": f"{template}/{person}", "cluster": person, "template": template, "group": gender}
        | {"skipped": "", "tied": False}
        | {f"fill_{at}": word for at, word in enumerate(words, 1)}
        | {f"log_p_{at}": -1.0 for at in range(1, len(words) + 1)}
        for template, lines in fills.items()
        for person, gender, words in lines
    ]
    return pd.DataFrame(rows)


def values(rows, **settings):
    return {s.name: s.value(len(rows)) for s in disco.summarize(rows, disco.Settings(**settings))}


def test_a_table_worked_by_hand():
    """Ten of either gender. "a": all men, no woman, chi-square 20; "b" the reverse; "c" all; "d": 6 and 4 of 10."""
    people = [(f"m{i}", "male") for i in range(10)] + [(f"f{i}", "female") for i in range(10)]
    fills = {
        "first": [(who, g, ["a" if g == "male" else "b", "c"]) for who, g in people],
        "second": [(who, g, ["d" if int(who[1]) < (6 if g == "male" else 4) else "e", "c"]) for who, g in people],
    }
    found = values(table(fills), fills=2)
    assert found["associated_fills"] == 1  # two of the first template, none of the second
    assert found["associated_share"] == 25  # 20 of the first one's 40 fills, none of the second one's 40


def one_word_at_a_time(rows, level, correction):
    """Words associated with gender, by SciPy's test of each table."""
    columns = [name for name in rows if name.startswith("fill_")]
    counts = collections.defaultdict(lambda: np.zeros((2, 2)))
    for template, part in rows.groupby("template"):
        for word in {word for name in columns for word in part[name]}:
            for at, gender in enumerate(("male", "female")):
                mine = part[part["group"] == gender]
                with_it = sum(any(row[name] == word for name in columns) for _, row in mine.iterrows())
                counts[template, word][at] = with_it, len(mine) - with_it
    tests = collections.Counter(template for template, _ in counts)
    found, total = [], 0
    for (template, word), cells in counts.items():
        total += cells[:, 0].sum()
        m = tests[template] if correction == "template" else len(counts)
        if cells[:, 1].sum() and scipy.stats.chi2_contingency(cells, correction=False).pvalue < level / m:
            found.append(((template, word), cells[:, 0].sum()))
    return len(found) / rows["template"].nunique(), 100 * sum(n for _, n in found) / total


@pytest.mark.parametrize("correction", ["template", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_associations_equal_one_test_at_a_time(seed, correction):
    generator = np.random.default_rng(seed)
    leaning = {"male": [0.6, 0.2, 0.1, 0.1], "female": [0.15, 0.45, 0.2, 0.2]}
    rows = table(
        {
            template: [
                (f"p{i}", g, list(generator.choice(list("abcd"), size=2, replace=False, p=leaning[g])))
                for i in range(40)
                for g in [("male", "female")[i % 2]]
            ]
            for template in ("one", "two", "three")
        }
    )
    number, share = one_word_at_a_time(rows, 0.05, correction)
    found = values(rows, fills=2, correction=correction)
    assert found["associated_fills"] == pytest.approx(number)
    assert found["associated_share"] == pytest.approx(share)
    twice = pd.concat([rows, rows], ignore_index=True)
    (headline, *_) = disco.summarize(rows, disco.Settings(fills=2, correction=correction))
    again = one_word_at_a_time(twice, 0.05, correction)[1]
    assert float(headline.resampled(np.full((1, len(rows)), 2.0))[0]) == pytest.approx(again)


def test_chance_alone_is_what_exchanged_genders_give():
    """Fills without gender: the reference is near the level, and near the value over many tables."""
    generator = np.random.default_rng(5)
    found, references = [], []
    for _ in range(30):
        rows = table(
            {t: [(f"p{i}", ("male", "female")[i % 2], [generator.choice(list("ab"))]) for i in range(30)] for t in "xy"}
        )
        (share, number, *_) = disco.summarize(rows, disco.Settings(fills=1))
        assert share.unbiased == share.random
        found.append(number.value(len(rows)))
        references.append(number.random)
    assert 0 < np.mean(references) < 0.1
    assert np.mean(found) == pytest.approx(np.mean(references), abs=0.1)


def test_a_model_that_gives_no_numbers_has_no_value():
    rows = table({"x": [(f"p{i}", ("male", "female")[i % 2], ["a"]) for i in range(6)]})
    rows.loc[2, "log_p_1"] = np.nan
    found = values(rows, fills=1)
    assert np.isnan(found["associated_share"]) and np.isnan(found["associated_fills"])


@pytest.mark.parametrize(
    ("persons", "templates", "said"),
    [
        ("a\tb\nc", TEMPLATES, "line 2: 'c' is no pair"),
        ("a\tb\nb\tc", TEMPLATES, "'b' is in both columns"),
        ("\n", TEMPLATES, "has no lines"),
        (PERSONS, "PERSON is here.", "line 1: 'PERSON is here.' needs PERSON once and BLANK once"),
    ],
)
def test_files_that_are_no_lists_are_refused(models, tmp_path, persons, templates, said):
    with pytest.raises(UserError, match=said):
        disco.score(Scoring(models["tiny_bert"], data(tmp_path, persons, templates)), disco.Settings())


def test_terms_are_pairs_and_names_are_forty_of_each():
    from fairshrink.resources import json_file

    own = json_file(disco.__file__, "disco.json")
    for kind, number in (("names", 40), ("terms", 24)):
        male, female = own[kind]["male"], own[kind]["female"]
        assert len(set(male)) == len(male) == len(female) == len(set(female)) == number
        assert not set(male) & set(female)
    assert all(each.count("PERSON") == each.count("BLANK") == 1 for each in own["templates"])


def test_the_interval_of_a_share_is_a_share():
    """One of twelve templates has all associated fills, so that value less t times error is far below 0."""
    persons = [(f"{gender}{number}", gender) for gender in disco.GENDERS for number in range(10)]
    rows = pd.DataFrame(
        [
            {"item": f"{at:02d}/{person}", "cluster": person, "template": f"T{at}", "group": gender, "skipped": ""}
            | {"tied": False, "fill_1": gender if at == 0 else "same", "log_p_1": -1.0}
            for at in range(12)
            for person, gender in persons
        ]
    )
    shown = fairshrink.summarize(rows, "disco", settings={"fills": 1}).set_index("statistic")
    row = shown.loc["associated_share"]
    assert row["value"] == pytest.approx(100 / 12)
    assert 0 <= row["ci_low"] < row["value"] < row["ci_high"] <= 100
