"""LPBS and BEC-Pro against masked sentences that are put together by hand, one at a time."""

import numpy as np
import pandas as pd
import pytest
import slow_scores as slow
from tiny import tiny_bert, tiny_roberta

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import bec_pro
from fairshrink.metrics._shared.word_scores import Marked, marked, word_scores
from fairshrink.metrics.lpbs import metric as lpbs
from fairshrink.models import checkpoint as checkpoints

HEADER = "\tSentence\tSent_TM\tSent_AM\tSent_TAM\tTemplate\tPerson\tGender\tProfession\tProf_Gender\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {build.__name__: checkpoints.load(build("masked_lm", folder / build.__name__)) for build in BUILDS}


BUILDS = (tiny_bert, tiny_roberta)


def pieces(cp, word, first=False):
    """Ids of a word as it is inside a sentence, or at its beginning."""
    byte_level = cp.tokenizer.cls_token == "<s>"
    return cp.tokenizer(word if first or not byte_level else " " + word, add_special_tokens=False)["input_ids"]


def by_hand(cp, words, target, hidden=()):
    """Sum of log p of the pieces of ``words[target]``, with these and those of ``hidden`` masked."""
    mask, ids, places, right = cp.tokenizer.mask_token_id, [cp.tokenizer.cls_token_id], [], []
    for at, word in enumerate(words):
        mine = pieces(cp, word, at == 0) if word != "." else cp.tokenizer(".", add_special_tokens=False)["input_ids"]
        if at == target:
            places, right = list(range(len(ids), len(ids) + len(mine))), mine
        ids += [mask] * len(mine) if at == target or at in hidden else mine
    ids.append(cp.tokenizer.sep_token_id)
    return sum(slow.masked(cp.model, ids, i, token) for i, token in zip(places, right, strict=True))


@pytest.mark.parametrize("build", BUILDS)
def test_trap_words_of_several_pieces_equal_sentences_masked_by_hand(build, models):
    cp = models[build.__name__]
    rows = lpbs.score(Scoring(cp), lpbs.Settings()).set_index("item")
    assert len(rows) == 40 * 4 * 4
    for occupation, group in (("engineer", "male"), ("nurse", "female")):
        row, a = rows.loc[f"{occupation}/0/pronoun"], "an" if occupation == "engineer" else "a"
        assert row["group"] == group and row["cluster"] == occupation
        for who, person in (("male", "He"), ("female", "She")):
            words = [person, "is", a, occupation, "."]
            assert row[f"{who}_given"] == pytest.approx(by_hand(cp, words, 0), abs=1e-4)
            assert row[f"{who}_prior"] == pytest.approx(by_hand(cp, words, 0, hidden=(3,)), abs=1e-4)
        assert row["misfit"] == pytest.approx(by_hand(cp, ["Of", "is", a, occupation, "."], 0), abs=1e-4)
    row = rows.loc["nurse/1/parent"]
    words = ["My", "mother", "works", "as", "a", "nurse", "."]
    assert row["female_prior"] == pytest.approx(by_hand(cp, words, 1, hidden=(5,)), abs=1e-4)
    assert len(pieces(cp, "engineer")) > 1 or len(pieces(cp, "mother")) > 1


@pytest.mark.parametrize("build", BUILDS)
def test_bec_pro_equals_sentences_masked_by_hand(build, models, tmp_path):
    cp = models[build.__name__]
    rows = bec_pro.score(Scoring(cp, data(tmp_path)), bec_pro.Settings())
    found = {(row.cluster, row.person): row for row in rows.itertuples()}
    row, words = found["bus mechanic", "man"], ["This", "man", "is", "a", "bus", "mechanic", "."]
    assert row.given == pytest.approx(by_hand(cp, words, 1), abs=1e-4)
    assert row.prior == pytest.approx(by_hand(cp, words, 1, hidden=(4, 5)), abs=1e-4)
    assert row.misfit == pytest.approx(by_hand(cp, ["This", "of", *words[2:]], 1), abs=1e-4)
    row, words = found["nurse", "She"], ["She", "is", "a", "nurse", "."]
    assert row.prior == pytest.approx(by_hand(cp, words, 0, hidden=(3,)), abs=1e-4)


def test_trap_the_published_file_masks_a_word_before_a_profession_too(tmp_path):
    line = row("{} went to the home of {}.", "He", "male", "head of arts", "balanced")
    (mention,) = [bec_pro._mention(each) for each in bec_pro.read(data(tmp_path, "\n" + line)["items"]) if
                  each["Profession"] == "head of arts"]  # fmt: skip
    assert mention.text[slice(*mention.occupation)] == "head of arts" and mention.text[slice(*mention.person)] == "He"
    spoiled = line.replace("home of [MASK]", "home [MASK] [MASK]")
    assert spoiled != line
    (same,) = [bec_pro._mention(each) for each in bec_pro.read(data(tmp_path, "\n" + spoiled)["items"]) if
               each["Profession"] == "head of arts"]  # fmt: skip
    assert same == mention


def data(folder, extra=""):
    path = folder / "BEC-Pro_EN.tsv"
    lines = [
        row("This {} is a {}.", person, gender, profession, whose)
        for profession, whose in (("bus mechanic", "male"), ("teacher", "female"), ("driver", "balanced"))
        for person, gender in (("man", "male"), ("woman", "female"))
    ]
    lines += [row("{} is a {}.", "She", "female", "nurse", "female"), *extra.split("\n")[1:]]
    numbered = [str(at) + line.removeprefix("0") for at, line in enumerate(lines)]
    path.write_text(HEADER + "\n".join(numbered) + "\n")
    return {"items": [path]}


def row(template, person, gender, profession, whose):
    hidden = " ".join(["[MASK]"] * len(profession.split()))
    sentences = [template.format(*both) for both in (
        (person, profession), ("[MASK]", profession), (person, hidden), ("[MASK]", hidden))]  # fmt: skip
    return "\t".join(["0", *sentences, template, person, gender, profession, whose])


def test_trap_the_mask_of_the_person_is_asked_for_where_both_words_are_masked(models):
    """Also where the occupation comes first."""
    cp = models["tiny_bert"]
    text, spans = marked("The {occupation} is a {person}.", occupation="teacher", person="woman")
    (found,) = word_scores(cp, [Marked(text, (spans["person"],), (spans["occupation"],))])
    words = ["The", "teacher", "is", "a", "woman", "."]
    assert found == pytest.approx(by_hand(cp, words, 4, hidden=(1,)), abs=1e-4)
    assert abs(found - by_hand(cp, words, 1, hidden=(4,))) > 1e-3


@pytest.mark.parametrize("module", [lpbs, bec_pro])
def test_a_uniform_model_has_no_association(module, tmp_path):
    cp = slow.silence(checkpoints.load(tiny_bert("masked_lm", tmp_path / "model")))
    rows = module.score(Scoring(cp, data(tmp_path)), module.Settings())
    values = {(s.name, s.group): s for s in module.summarize(rows, module.Settings())}
    assert values["stereotype_difference", "all"].value(len(rows)) == pytest.approx(0, abs=1e-6)
    assert values["stereotype_difference", "all"].random == 0


def test_worked_examples():
    rows = pd.DataFrame(
        {
            "item": list("abcd"), "cluster": ["pilot", "pilot", "nurse", "nurse"],
            "group": ["male", "male", "female", "female"], "skipped": ["", "", "", "too long"],
            "male_given": [-1.0, -2.0, -3.0, np.nan], "male_prior": [-2.0, -2.0, -2.0, np.nan],
            "female_given": [-3.0, -1.0, -1.0, np.nan], "female_prior": [-2.0, -2.0, -2.0, np.nan],
            "misfit": [-9.0, -9.0, -9.0, np.nan],
        }
    )  # fmt: skip
    values = {(s.name, s.group): s.value(4) for s in lpbs.summarize(rows, lpbs.Settings())}
    # LPBS: (1) - (-1) = 2, 0 - 1 = -1, -1 - 1 = -2
    assert values["mean_score", "male"] == 0.5 and values["mean_score", "female"] == -2
    assert values["stereotype_difference", "all"] == 2.5
    assert values["mean_score", "all"] == pytest.approx(-1 / 3)
    assert values["mean_absolute", "all"] == pytest.approx(1.25)
    assert values["skipped", "all"] == 1
    rows = pd.DataFrame(
        {
            "item": list("abcde"), "cluster": list("ppnnd"), "person": list("mwmwm"), "skipped": "",
            "gender": ["male", "female", "male", "female", "male"],
            "group": ["male", "male", "female", "female", "balanced"],
            "given": [-1.0, -3.0, -4.0, -2.0, -1.0], "prior": [-2.0] * 5, "misfit": [-9.0] * 5,
        }
    )  # fmt: skip
    values = {(s.name, s.group): s.value(5) for s in bec_pro.summarize(rows, bec_pro.Settings())}
    assert (values["gap", "male"], values["gap", "female"]) == (2, -2)
    assert values["stereotype_difference", "all"] == 4
    assert values["male_association", "balanced"] == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0\tHe is.\t[MASK] is.", "line 9: more or fewer fields"),
        (row("{} is a {}.", "He", "other", "driver", "male"), "line 9: Gender is not"),
        (row("{} is a {}.", "He", "male", "cook", "male").replace("[MASK] is", "We [MASK]"), "line 9: Sent_TM is"),
        (row("{} is a {}.", "He", "male", "driver", "male").replace("\tdriver", "\tpilot"), "line 9: Sent_TM is"),
    ],
)  # fmt: skip
def test_files_that_are_no_bec_pro_are_refused_with_their_line(tmp_path, line, said):
    with pytest.raises(UserError, match=said):
        bec_pro.read(data(tmp_path, "\n" + line)["items"])
    other = tmp_path / "other.tsv"
    other.write_text("a\tb\n1\t2\n")
    with pytest.raises(UserError, match="line 1: no column Sentence"):
        bec_pro.read([other])
