"""Malformed data files of every metric that reads some: each fault is named with file and line, nothing is dropped."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import metric_case
import pandas as pd
import pytest
import tiny

from fairshrink import registry
from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.study.catalog import every_role

READING = [name for name in registry.names("metrics") if every_role(registry.load("metrics", name))]
LONG = " ".join(["kind"] * 400)


@dataclass(frozen=True)
class Fault:
    """A change of the file of a role, and what the error has to say besides the file's name."""

    metric: str
    role: str
    kind: str
    old: str
    new: str
    said: str
    file: str = ""


OF_PAIRS = [
    ("column", "bias_type", "type", "line 1: no column bias_type"),
    ("cut short", ",antistereo,gender", "", "line 3: more or fewer fields than the 4"),
    ("group", "stereo,nationality", "stereo,", "line 4: no bias type"),
]
OF_CONTEXTS = [
    ("column", '"bias_type": "gender"', '"kind": "gender"', "line 1: no context of StereoSet (KeyError: 'bias_type')"),
    ("cut short", "My sister and my brother are BLANK.", 'My sister"', "is not a StereoSet file"),
    ("group", '"target": "nurse"', '"target": " "', "item x1, line 1: no context"),
    ("twice", '"id": "a2"', '"id": "a1"', "item a1 occurs twice"),
]
OF_TESTS = [
    ("column", "targ2", "target", "no list targ2 → examples"),
    ("cut short", '"attr2"', "attr", "is no JSON object"),
    ("group", '["He is here.", "His is there."]', "[]", "attr1 has 0 examples"),
    ("long", "It is a car.", f"It is {LONG}.", "longer than the 64 tokens"),
]
FAULTS = [
    *(Fault(name, "items", *each) for name in ("crows_pairs", "aul", "aula") for each in OF_PAIRS),
    *(Fault("stereoset", "items", *each) for each in OF_CONTEXTS),
    *(Fault("seat", "sentences", *each) for each in OF_TESTS),
    Fault("bias_sts", "pairs", "cut short", "\ta woman sold the car", "", "line 2: not 4 sentences"),
    Fault("bias_sts", "pairs", "column", "a man is here\t", "", "line 1: not 4 sentences"),
    Fault("bias_sts", "pairs", "group", "a nurse sold the car", " ", "line 2: not 4 sentences"),
    Fault("bias_sts", "pairs", "long", "a nurse is here", f"a nurse is {LONG}", "line 1; shorten"),
    Fault("bec_pro", "items", "column", "Prof_Gender", "Whose", "line 1: no column Prof_Gender"),
    Fault("bec_pro", "items", "cut short", "\tbrother\tmale\tdoctor\tmale", "", "line 3: more or fewer fields"),
    Fault("bec_pro", "items", "group", "\tsister\tfemale\tdoctor\tmale", "\tsister\tfemale\tdoctor\t",
          "line 5: nothing in Prof_Gender"),
    Fault("bec_pro", "items", "twice", "\n1\t", "\n0\t", "lines 2 and 3: '0' occurs twice"),
    Fault("winobias", "pro", "cut short", "[he] was kind.", "[he", "line 1: a bracket is not closed"),
    Fault("winobias", "pro", "column", "[The nurse] sold the doctor a car and [she]", "The nurse sold it, she",
          "line 4: no word in brackets"),
    Fault("winobias", "pro", "twice", "2 [The", "1 [The", "lines 1 and 2: '1' occurs twice"),
    Fault("winogender", "sentences", "column", "sentid", "id", "line 1: no column sentid"),
    Fault("winogender", "sentences", "cut short", "\tThe doctor told the patient that he could watch.", "",
          "line 5: more or fewer fields"),
    Fault("winogender", "sentences", "group", "nurse.patient.0.male", ".patient.0.male", "line 8: sentid"),
    Fault("winogender", "sentences", "twice", "doctor.patient.0.female", "doctor.patient.0.male",
          "lines 2 and 3: 'doctor.patient.0.male.txt' occurs twice"),
    Fault("winogender", "statistics", "column", "bls_pct", "pct", "line 1: no column bls_pct_female"),
    Fault("winogender", "statistics", "cut short", "80\t90", "80", "line 3: more or fewer fields"),
    Fault("winogender", "statistics", "group", "doctor\t", "\t", "line 2: nothing in occupation"),
    Fault("winogender", "statistics", "twice", "nurse", "doctor", "lines 2 and 3: 'doctor' occurs twice"),
    Fault("bbq", "items", "column", '"label"', '"gold"', "line 1: no question of BBQ (KeyError: 'label')"),
    Fault("bbq", "items", "cut short", '"label": 0}', '"lab', "line 3: no question of BBQ"),
    Fault("bbq", "items", "group", '"category": "Age"', '"category": ""', "line 1: no question of BBQ (ValueError: "),
    Fault("bbq", "items", "twice", '"example_id": 1,', '"example_id": 0,', "line 2: Age/00000 occurs twice"),
    Fault("bbq", "metadata", "column", "target_loc", "target", "line 1: no column target_loc"),
    Fault("bbq", "metadata", "cut short", "Age,2,0,0", "Age,2", "line 4: more or fewer fields"),
    Fault("bbq", "metadata", "group", "Age,2,0,0", "Age,2,0,3", "line 4: target_loc '3'"),
    Fault("bbq", "metadata", "twice", "Age,3,0,0", "Age,2,0,1", "line 5: Age, 2, 0 occurs twice"),
    Fault("bias_nli", "words", "group", "nurse\nengineer\ndoctor\nteacher", " \n", "has no word",
          "nouns/people/occupations"),
    Fault("bias_nli", "words", "long", "guitar", LONG, "longer than the 64 tokens", "nouns/objects/household"),
    Fault("subgroup_auc", "items", "column", "toxicity,", "label,", "has no column toxicity"),
    Fault("subgroup_auc", "items", "cut short", "The brother is poor.,1,1,0", "The brother is poor.,1",
          "line 3: more or fewer fields"),
    Fault("subgroup_auc", "items", "group", "The brother is poor.,1,1,0", "The brother is poor.,,1,0",
          "line 3: no number in the column 'toxicity'"),
    Fault("subgroup_auc", "items", "twice", "male,female", "male,male", "line 1: more than one column male"),
    Fault("subgroup_auc", "items", "text", "The brother is poor.", " ", "line 3: no text in the column"),
    Fault("subgroup_auc", "items", "number", "The brother is poor.,1,1,0", "The brother is poor.,1,yes,0",
          "line 3: 'yes' in the column 'male' is no number"),
    Fault("bias_in_bios", "items", "column", "profession", "work", "has no column profession"),
    Fault("bias_in_bios", "items", "cut short", ",neutral,0", ",neutral", "line 3: more or fewer fields"),
    Fault("bias_in_bios", "items", "group", ",neutral,0", ",,0", "line 3: nothing in the column 'profession'"),
    Fault("bias_in_bios", "items", "gender", ",neutral,0", ",neutral,2", "line 3: '2' in the column 'gender'"),
    Fault("toxicity", "prompts", "column", '"prompt": "My sister', '"text": "My sister', "line 2: "),
    Fault("toxicity", "prompts", "cut short", '"group": "b"}', '"grou', "line 2: "),
    Fault("toxicity", "prompts", "group", '"group": "b"', '"group": ""', "line 2: "),
    Fault("toxicity", "prompts", "text", "My sister and", " ", "line 2: "),
    Fault("toxicity", "classifier", "cut short", '"model_type"', '"mod', "cannot be read as JSON", "config.json"),
    Fault("profanity", "words", "text", "b\n", "\u0301\n", "line 2: "),
    Fault("profanity", "prompts", "cut short", '"group": "b"}', '"grou', "line 2: "),
    Fault("honest", "templates", "column", "template_masked", "template", "line 1: no column template_masked"),
    Fault("honest", "templates", "cut short", "\tthe man\tsingular\tmale\tother", "", "line 2: more or fewer fields"),
    Fault("honest", "templates", "group", "singular\tmale", "singular\t ", "line 2: no category or identity"),
    Fault("honest", "lexicon", "column", "lemma", "word", "line 1: no column lemma"),
    Fault("honest", "lexicon", "cut short", "\tb\tconservative", "\tb", "line 3: more or fewer fields"),
    Fault("disco", "persons", "cut short", "b\tk", "b", "line 1: 'b' is no pair"),
    Fault("disco", "persons", "twice", "c\tl", "c\tc", "is in both columns"),
    Fault("disco", "templates", "text", "PERSON was BLANK.", "PERSON was.", "line 2: "),
    Fault("matched_guise", "pairs", "cut short", "She finna go.\t", "She finna go.", "line 2: "),
]  # fmt: skip
SENTENCES = {
    "targ1": ["This is a guitar.", "Guitars are things."],
    "targ2": ["This is a house.", "It is a car."],
    "attr1": ["He is here.", "His is there."],
    "attr2": ["She is here.", "Hers is there."],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The tiny model of each kind that a metric here scores."""
    made = {}

    def of(name):
        head = "regression" if name == "bias_sts" else metric_case.HEADS[name]
        if head not in made:
            build = tiny.tiny_llama if head == "causal_lm" else tiny.tiny_bert
            made[head] = checkpoints.load(build(head, tmp_path_factory.mktemp("model") / "m"))
        return made[head]

    return of


def data_of(name, folder: Path) -> dict[str, list[Path]]:
    """Well-formed files of a metric, those that a study may name included."""
    found = metric_case._data(name, folder)
    if name == "seat":
        path = folder / "sent-weat8.jsonl"
        path.write_text(json.dumps({key: {"category": key, "examples": each} for key, each in SENTENCES.items()}))
        found["sentences"] = [path]
    if name in ("subgroup_auc", "bias_in_bios"):
        found["items"] = [_as_csv(found["items"][0])]
    if name in ("toxicity", "profanity"):
        path = folder / "prompts.jsonl"
        path.write_text('{"prompt": "The doctor said", "group": "a"}\n{"prompt": "My sister and", "group": "b"}\n')
        found["prompts"] = [path]
    if name == "disco":
        path, texts = folder / "persons.tsv", folder / "templates.txt"
        path.write_text("b\tk\nc\tl\nd\tm\n")
        texts.write_text("PERSON is BLANK.\nPERSON was BLANK.\n")
        found |= {"persons": [path], "templates": [texts]}
    if name == "matched_guise":
        path = folder / "pairs.tsv"
        path.write_text("He be late.\tHe is often late.\nShe finna go.\tShe is about to go.\n")
        found["pairs"] = [path]
    if name == "bias_sts":
        path = folder / "pairs.tsv"
        path.write_text(
            "".join(
                "\t".join(f"a {who} {said}" for who in ("man", "nurse", "woman", "nurse")) + "\n"
                for said in ("is here", "sold the car")
            )
        )
        found["pairs"] = [path]
    return found


def _as_csv(path: Path) -> Path:
    """The same table as text, with the columns of the metric alone."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    frame.to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def score(models, name, data):
    module = registry.load("metrics", name)
    settings = {} if name in ("bias_sts", "seat") else metric_case.SETTINGS.get(name, {})
    if name in ("toxicity", "profanity"):
        settings = {**settings, "sample": None, "tokens": 2}
    return module.score(Scoring(models(name), data), module.Settings(**settings))


def test_every_metric_that_reads_files_has_faults_in_each_of_them():
    """A metric or role that is added gets its own; those whose files are plain lines have fewer kinds."""
    lines = {("perplexity", "text"), ("pseudo_perplexity", "text"), ("winobias", "anti")}
    roles = {(name, role) for name in READING for role in every_role(registry.load("metrics", name))}
    assert {(each.metric, each.role) for each in FAULTS} | lines == roles


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: f"{each.metric}-{each.role}-{each.kind}")
def test_faults_are_named_with_file_and_line(models, tmp_path, fault):
    data = data_of(fault.metric, tmp_path)
    path = data[fault.role][0] / fault.file if fault.file else data[fault.role][0]
    before = path.read_text(encoding="utf-8")
    assert fault.old in before
    path.write_text(before.replace(fault.old, fault.new, 1), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        score(models, fault.metric, data)
    assert fault.said in str(refused.value)
    if fault.kind != "long" or fault.metric == "bias_sts":
        assert str(path) in str(refused.value)


ROLES = [
    (name, role)
    for name in READING
    for role in every_role(registry.load("metrics", name))
    if role != "classifier"  # the folder of a model
]


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_lines_in_another_encoding_are_named(models, tmp_path, name, role):
    data = data_of(name, tmp_path)
    path = data[role][0] / "nouns/people/occupations" if name == "bias_nli" else data[role][0]
    lines = path.read_bytes().split(b"\n")
    at = 1 if len(lines) > 1 and lines[1] else 0
    lines[at] += "é".encode("latin-1")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UserError, match=rf"{re.escape(str(path))} cannot be read .*\(line {at + 1}\); convert"):
        score(models, name, data)


@pytest.mark.parametrize(
    ("name", "old", "place"),
    [
        ("crows_pairs", "My sister is poor.", "pairs.csv, line 3"),
        ("aul", "My sister is poor.", "pairs.csv, line 3"),
        ("aula", "My sister is poor.", "pairs.csv, line 3"),
        ("stereoset", "The doctor bought a ", "contexts.json, item a2"),
        ("bec_pro", "The woman is a engineer.", "professions.tsv, line 8"),
        ("winobias", "was kind.", "pro_type1.txt, line 1"),
        ("winogender", "could watch.", "sentences.tsv, line 7"),
        ("bbq", "The doctor is old.", "questions.jsonl, line 1"),
        ("honest", "the man is a ", "en_template.tsv, line 2"),
        ("profanity", "My sister and", "prompts.jsonl, line 2"),
        ("toxicity", "My sister and", "prompts.jsonl, line 2"),
        ("disco", "PERSON was BLANK.", "templates.txt, line 2"),
        ("matched_guise", "She finna go.", "pairs.tsv, line 2"),
    ],
)
def test_texts_longer_than_the_window_are_rows_without_scores_and_named(models, tmp_path, capfd, name, old, place):
    data = data_of(name, tmp_path)
    whole = score(models, name, data)
    path = next(file for (file, *_) in data.values() if file.is_file() and old in file.read_text())
    text = path.read_text()
    longer = f"{old.rstrip('.')} and {LONG}{old[len(old.rstrip('.')) :]}"
    everywhere = name in ("stereoset", "winogender")  # in all versions of the sentence
    path.write_text(text.replace(old, longer) if everywhere else text.replace(old, longer, 1))
    if name == "winobias":  # the same words in the other version
        other = data["anti"][0]
        other.write_text(other.read_text().replace(old, longer, 1))
    capfd.readouterr()
    rows = score(models, name, data)
    assert len(rows) == len(whole), "nothing is dropped"
    skipped = rows["skipped"] == "too long for the model"
    assert skipped.any() and not skipped.all()
    module = registry.load("metrics", name)
    counts = {each.name: each.value(len(rows)) for each in module.summarize(rows, metric_case.settings(name))}
    assert counts["skipped"] == skipped.sum()
    said = "".join(capfd.readouterr())
    assert "too long for the model" in said and place in said


@pytest.mark.parametrize(
    ("name", "text"), [("subgroup_auc", "The brother is poor."), ("bias_in_bios", tiny.SENTENCES[1])]
)
def test_texts_of_a_classifier_that_are_cut_off_are_named(models, tmp_path, capfd, name, text):
    data = data_of(name, tmp_path)
    whole = score(models, name, data)
    (path,) = data["items"]
    assert text in path.read_text()
    path.write_text(path.read_text().replace(text, f"{text} {LONG}", 1))
    capfd.readouterr()
    assert len(score(models, name, data)) == len(whole)
    said = "".join(capfd.readouterr())
    assert re.search(
        rf"{name}: 1 of {len(whole)} texts cut off after the 64 tokens .*: {re.escape(str(path))}, line \d", said
    )
