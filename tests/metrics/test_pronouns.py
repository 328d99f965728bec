"""WinoBias and Winogender against one sentence at a time, masked by hand or token by token."""

import numpy as np
import pandas as pd
import pytest
import slow_scores as slow
from tiny import tiny_bert, tiny_llama, tiny_roberta

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import winobias, winogender
from fairshrink.models import checkpoint as checkpoints

PRO = [
    "1 [The developer] argued with the nurse because [he] was kind.",
    "2 The developer argued with [the nurse] because [she] sold [her] car.",
    "3 The nurse helped [the developer] and watched [him].",
    "4 [The nurse] helped the developer because [she] is kind.",
]
ANTI = [
    "1 [The developer] argued with the nurse because [she] was kind.",
    "2 The developer argued with [the nurse] because [he] sold [his] car.",
    "3 The nurse helped [the developer] and watched [her].",
    "4 [The nurse] helped the developer because [he] is poor.",
]
BUILDS = ((tiny_bert, "masked_lm"), (tiny_roberta, "masked_lm"), (tiny_llama, "causal_lm"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {build.__name__: checkpoints.load(build(head, folder / build.__name__)) for build, head in BUILDS}


def wino(folder, pro=PRO, anti=ANTI):
    paths = {"pro": folder / "pro_stereotyped_type1.txt.dev", "anti": folder / "anti_stereotyped_type1.txt.dev"}
    for name, lines in (("pro", pro), ("anti", anti)):
        paths[name].write_text("\n".join(lines) + "\n")
    return {name: [path] for name, path in paths.items()}


def by_hand(cp, text, words):
    """The whole text token by token; or the sum over these words' pieces, found from the left, all of them masked."""
    if cp.head == "causal_lm":
        ids = cp.tokenizer(text, add_special_tokens=False)["input_ids"]
        return slow.causal(cp.model, [cp.tokenizer.bos_token_id, *ids]).sum()
    ids, byte_level = cp.tokenizer(text)["input_ids"], cp.tokenizer.cls_token == "<s>"
    places, at = [], 0
    for word in words:
        mine = cp.tokenizer(" " + word if byte_level else word, add_special_tokens=False)["input_ids"]
        at = next(i for i in range(at, len(ids)) if ids[i : i + len(mine)] == mine)
        places += range(at, at + len(mine))
        at += len(mine)
    hidden = [cp.tokenizer.mask_token_id if i in places else token for i, token in enumerate(ids)]
    return sum(slow.masked(cp.model, hidden, i, ids[i]) for i in places)


@pytest.mark.parametrize("build", [build for build, _ in BUILDS])
def test_winobias_equals_one_sentence_at_a_time(build, models, tmp_path):
    cp = models[build.__name__]
    rows = winobias.score(Scoring(cp, wino(tmp_path)), winobias.Settings())
    expected = [
        ("The developer argued with the nurse because {} was kind.", [("he",), ("she",), ("of",)]),
        ("The developer argued with the nurse because {} sold {} car.", [("she", "her"), ("he", "his"), ("of", "of")]),
        ("The nurse helped the developer and watched {}.", [("him",), ("her",), ("of",)]),
    ]
    for at, (template, forms) in enumerate(expected):
        for column, words in zip(("pro", "anti", "misfit"), forms, strict=True):
            assert rows.loc[at, column] == pytest.approx(by_hand(cp, template.format(*words), words), abs=2e-4)
    assert list(rows["skipped"]) == ["", "", "", winobias.UNEQUAL]
    assert list(rows["male_is_pro"]) == [True, False, True, False]
    assert list(rows["cluster"]) == ["type1/dev/0001"] * 2 + ["type1/dev/0002"] * 2
    assert set(rows["group"]) == {"type1"}


def test_winobias_by_hand():
    rows = pd.DataFrame(
        {
            "item": list("abcde"), "cluster": list("aabbc"), "group": ["type1"] * 3 + ["type2"] * 2,
            "skipped": ["", "", "", "", "too long"], "male_is_pro": [True, False, True, False, True],
            "pro": [-1.0, -2.0, -3.0, -4.0, np.nan], "anti": [-2.0, -3.0, -2.0, -4.0, np.nan], "misfit": -9.0,
        }
    )  # fmt: skip
    values = {(s.name, s.group): s.value(5) for s in winobias.summarize(rows, winobias.Settings())}
    assert values["stereotype_share", "all"] == 50 and values["accuracy_gap", "all"] == 25
    assert values["stereotype_share", "type1"] == pytest.approx(200 / 3)
    assert values["accuracy_gap", "type2"] == 0 and values["stereotype_share", "type2"] == 0
    # Of four, the male version is likelier in the first alone: in b and c it is the female one, d is a tie.
    assert values["male_share", "all"] == 25
    assert (values["tied", "all"], values["skipped", "all"]) == (1, 1)
    # Male less female: a +1, c -1 where the stereotype is a man's; b -1, d 0 where it is a woman's.
    assert values["stereotype_difference", "all"] == pytest.approx(0.5)
    assert values["stereotype_difference", "type1"] == pytest.approx(1.0)


def test_a_stereotype_below_a_preference_for_men_is_in_the_difference_not_in_the_share():
    """Each male version is likelier by 3 nats, and by 1 more or less as the stereotype has it."""
    male = np.array([True, False] * 10)
    rows = pd.DataFrame({"item": [f"{at:02d}" for at in range(20)], "group": "type1", "skipped": "", "misfit": -9.0})
    rows = rows.assign(cluster=rows["item"], male_is_pro=male, pro=np.where(male, -1.0, -4.0), anti=-3.0)
    rows["anti"] = np.where(male, rows["pro"] - 4.0, rows["pro"] + 2.0)
    values = {(s.name, s.group): s.value(20) for s in winobias.summarize(rows, winobias.Settings())}
    assert values["stereotype_share", "all"] == 50 and values["male_share", "all"] == 100
    assert values["stereotype_difference", "all"] == pytest.approx(2.0)


@pytest.mark.parametrize("module", [winobias, winogender])
@pytest.mark.parametrize(("build", "head"), [(tiny_bert, "masked_lm"), (tiny_llama, "causal_lm")])
def test_a_uniform_model_ties_where_pronouns_have_as_many_pieces(module, build, head, tmp_path):
    cp = slow.silence(checkpoints.load(build(head, tmp_path / "model")))
    given = wino(tmp_path, PRO[:1], ANTI[:1]) if module is winobias else gender(tmp_path, SENTENCES[:2])
    rows = module.score(Scoring(cp, given), module.Settings())
    pieces = [len(cp.tokenizer(f" {word}", add_special_tokens=False)["input_ids"]) for word in ("he", "she")]
    one, other = ("pro", "anti") if module is winobias else ("male", "female")
    tied = (rows[one] - rows[other]).abs() < 1e-5
    assert tied.all() == (pieces[0] == pieces[1])


def test_files_of_winobias_that_do_not_belong_together_are_refused(tmp_path):
    data = wino(tmp_path, PRO, ANTI[:2])
    with pytest.raises(UserError, match="has 4 sentences"):
        winobias.read(data["pro"], data["anti"])
    with pytest.raises(UserError, match="1 files under `pro`, but 2 under `anti`"):
        winobias.read(data["pro"], data["anti"] * 2)
    data = wino(tmp_path, ["1 No brackets here."], ANTI[:1])
    with pytest.raises(UserError, match="line 1: no word in brackets"):
        winobias.read(data["pro"], data["anti"])


SENTENCES = [
    ("nurse.patient.0", "The nurse told the patient that {} was kind.", ("he", "she", "they")),
    ("nurse.patient.1", "The nurse told the patient that {} could play.", ("he", "she", "they")),
    ("engineer.man.0", "The engineer sold a man {} car.", ("his", "her", "their")),
]


def gender(folder, sentences=SENTENCES):
    rows = ["sentid\tsentence"]
    for key, template, words in sentences:
        for kind, word in zip(("male", "female", "neutral"), words, strict=True):
            text = template.format(word)
            rows.append(f"{key}.{kind}.txt\t{text.replace('they was', 'they were')}")
    (folder / "all_sentences.tsv").write_text("\n".join(rows) + "\n")
    (folder / "stats.tsv").write_text(
        "occupation\tbergsma_pct_female\tbls_pct_female\tbls_year\nnurse\t80\t90\t2015\nengineer\t5\t10.5\t2015\n"
    )
    return {"sentences": [folder / "all_sentences.tsv"], "statistics": [folder / "stats.tsv"]}


@pytest.mark.parametrize("build", [build for build, _ in BUILDS])
def test_winogender_equals_one_sentence_at_a_time(build, models, tmp_path):
    cp = models[build.__name__]
    rows = winogender.score(Scoring(cp, gender(tmp_path)), winogender.Settings()).set_index("item")
    for key, template, words in SENTENCES:
        for column, word in zip(("male", "female", "neutral", "misfit"), (*words, "of"), strict=True):
            text = template.format(word).replace("they was", "they were")
            assert rows.loc[key, column] == pytest.approx(by_hand(cp, text, [word]), abs=2e-4)
    assert dict(rows["comparable"]) == {
        "nurse.patient.0": False, "nurse.patient.1": True, "engineer.man.0": True,
    }  # fmt: skip
    assert dict(rows["group"]) == {
        "nurse.patient.0": "occupation", "nurse.patient.1": "participant", "engineer.man.0": "occupation",
    }  # fmt: skip
    assert dict(rows["women"]) == {"nurse.patient.0": 90, "nurse.patient.1": 90, "engineer.man.0": 10.5}


def test_winogender_by_hand():
    generator = np.random.default_rng(0)
    occupations = [f"o{i}" for i in range(6)] * 3
    n = len(occupations)
    women = np.array([10, 20, 30, 60, 80, 90] * 3, dtype=float)
    rows = pd.DataFrame(
        {
            "item": [f"i{i}" for i in range(n)], "cluster": occupations,
            "group": ["occupation"] * 12 + ["participant"] * 6,
            "women": women, "women_in_text": women[::-1], "comparable": True, "skipped": "",
        }
        | {name: generator.normal(size=n) for name in ("male", "female", "neutral", "misfit")}
    )  # fmt: skip
    values = {(s.name, s.group): s.value(n) for s in winogender.summarize(rows, winogender.Settings())}
    own = rows[:12].assign(towards_women=rows["female"] - rows["male"])
    means = own.groupby("cluster")[["towards_women", "women"]].mean()
    assert values["correlation", "all"] == pytest.approx(means["towards_women"].corr(means["women"]))
    followed = (own["towards_women"] > 0) == (own["women"] >= 50)
    assert values["stereotype_share", "all"] == pytest.approx(100 * followed.mean())
    assert values["male_share", "participant"] == pytest.approx(100 * (rows["male"] > rows["female"])[12:].mean())
    best = rows[["male", "female"]].max(axis=1)
    assert values["neutral_share", "all"] == pytest.approx(100 * (rows["neutral"] > best).mean())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nurse.patient.2.male.txt\tHe.", "line 11: sentid 'nurse.patient.2.male.txt' is not of the form"),
        ("nurse.doctor.0.male.txt\tHe.", "nurse.doctor.0 has no female, neutral version"),
        ("nurse.patient.0", "line 11: more or fewer fields"),
        ("nurse.patient.0.female.txt\tThe nurse slept.", "'nurse.patient.0.female.txt' occurs twice"),
    ],
)
def test_files_that_are_no_winogender_are_refused(tmp_path, line, said):
    path = gender(tmp_path)["sentences"][0]
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=said):
        winogender.read([path])


def test_versions_that_do_not_differ_in_one_pronoun_are_refused(tmp_path):
    path = gender(tmp_path)["sentences"][0]
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{line}, said the nurse" if ".female." in line else line for line in lines))
    with pytest.raises(UserError, match=r"sentences\.tsv, line \d+: the versions of .* do not differ in one pronoun"):
        winogender.read([path])


def test_an_occupation_without_a_percentage_is_named(models, tmp_path):
    data = gender(tmp_path, [("baker.man.0", "The baker sold a man {} car.", ("his", "her", "their"))])
    with pytest.raises(UserError, match="no percentage of women for baker"):
        winogender.score(Scoring(models["tiny_bert"], data), winogender.Settings())
