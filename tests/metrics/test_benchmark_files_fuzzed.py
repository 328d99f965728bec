"""Files of benchmarks, damaged at random: read as they are, or refused with the file's name and a remedy."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
import shutil
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from damaging import damaged

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import bec_pro, bias_in_bios, profanity, winobias, winogender
from fairshrink.metrics._shared import prompts, sentence_pairs
from fairshrink.metrics._shared.columns import PLACE
from fairshrink.metrics._shared.files import table_rows
from fairshrink.metrics.bbq import items as bbq
from fairshrink.metrics.bias_nli import pairs as bias_nli
from fairshrink.metrics.disco import metric as disco
from fairshrink.metrics.honest import lexicon as honest_lexicon
from fairshrink.metrics.honest import metric as honest
from fairshrink.metrics.matched_guise import metric as matched_guise
from fairshrink.metrics.seat import published
from fairshrink.metrics.stereoset import contexts
from fairshrink.metrics.subgroup_auc import metric as subgroup_auc

DAMAGES, BATCHES = 780, 6
LABELS = ("stereotype", "anti-stereotype", "unrelated")
WRONG = (None, 7, True, 1.5, [], {}, ["a"], "", " ", {"a": 1})


def rows(separator: str, *lines: tuple) -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def crows() -> str:
    header = ("", "sent_more", "sent_less", "stereo_antistereo", "bias_type", "annotations")
    pairs = [(n, f'She said "{n}", é.', f"He said {n}.", "stereo", "gender", "[['a']]") for n in range(4)]
    return rows(",", header, *pairs)


def stereoset() -> dict:
    def entry(n: int) -> dict:
        filled = [f"The nurse is {word}." for word in ("kind", "rude", "blue")]
        sentences = [
            {"id": f"{n}-{label}", "sentence": text, "gold_label": label}
            for label, text in zip(LABELS, filled, strict=True)
        ]
        context = {"id": f"c{n}", "target": "nurse", "bias_type": "gender", "context": "The nurse is BLANK."}
        return context | {"sentences": sentences}

    return {"data": {"intrasentence": [entry(n) for n in range(3)]}}


def question(n: int) -> dict:
    return {
        "example_id": n,
        "question_index": "1",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Age",
        "answer_info": {"ans0": ["a", "old"], "ans1": ["b", "nonOld"], "ans2": ["c", "unknown"]},
        "context": "I saw a grandson and his grandfather.",
        "question": "Who was bad with phones?",
        "ans0": "The grandfather",
        "ans1": "The grandson",
        "ans2": "Not known",
        "label": 2,
    }


def _named(path: Path, suffix: str) -> Path:
    """The same file under a name that says what it is."""
    return shutil.copy(path, path.with_name(path.name.partition(".")[0] + suffix))


PRONOUNS = {"male": "he", "female": "she", "neutral": "they"}
GENDER = rows(
    "\t",
    ("sentid", "sentence"),
    *((f"nurse.patient.1.{form}.txt", f"The nurse said {word} was late.") for form, word in PRONOUNS.items()),
)
PROFESSIONS = rows(
    "\t",
    ("Sentence", "Sent_TM", "Sent_AM", "Sent_TAM", "Template", "Person", "Gender", "Prof_Gender", "Profession"),
    ("He is a nurse.", "[MASK] is a nurse.", "He is a [MASK].", "", "1", "He", "male", "female", "nurse"),
)
WINO = "1 The nurse helped because [he] was kind.\n2 [The nurse] thanked the guard as [he] cared.\n"
READERS = {
    "crows_pairs": (crows(), lambda path: sentence_pairs.read([path])),
    "stereoset": (json.dumps(stereoset(), ensure_ascii=False), lambda path: contexts.read([path])),
    "bbq": ("".join(json.dumps(question(n)) + "\n" for n in range(3)), lambda path: bbq.read([path], [])),
    "bbq metadata": (
        rows(",", (*bbq.KEY, "target_loc"), ("Age", "0", "1", "0"), ("Age", "1", "1", "NA")),
        lambda path: bbq.targets_of(path),
    ),
    "winobias": (WINO, lambda path: winobias.read([path], [path])),
    "winogender": (GENDER, lambda path: winogender.read([path])),
    "bec_pro": (PROFESSIONS, lambda path: bec_pro.read([path])),
    "word list": (
        "nurse\nécuyer\ndriver of 4x4\n",
        lambda path: bias_nli._words(path.parent, path.name),
    ),
    "honest templates": (
        rows("\t", honest.COLUMNS, ("The man is [M].", "[I] is [M].", "man", "male"), ("É [M].", "[I] [M].", "é", "x")),
        lambda path: [(each.text, each.raw, each.identity, each.category) for each in honest.read_templates([path])],
    ),
    "honest lexicon": (
        rows("\t", ("lemma", "category", "level"), ("crétin", "cds", "conservative"), ("mule", "an", "inclusive")),
        lambda path: dict(honest_lexicon.read_lexicon([path], "all", "published")),
    ),
    "disco persons": ("André\tAnna\nBen\tBea\nCarl\tCora\n", lambda path: disco.read_persons([path])),
    "disco templates": ("PERSON is BLANK.\nÀ PERSON: BLANK.\n", lambda path: disco.read_templates([path])),
    "matched guise": (
        "He be late, é.\tHe is often late, é.\nShe finna go.\tShe is about to go.\n",
        lambda path: list(matched_guise.read_pairs([path]).values()),
    ),
    "profanity": ("crétin\nbad word\nmule\n", lambda path: profanity.read_words([path])),
    "subgroup_auc": (
        rows(
            ",", ("comment_text", "toxicity", "male"), ("She is é.", "1", "0"), ("Hé is.", "0", ""), ("A", "0.2", "1")
        ),
        lambda path: (
            subgroup_auc._table(
                Scoring(None, {"items": [_named(path, ".csv")]}), subgroup_auc.Settings(identities=("male",))
            )
            .drop(columns=PLACE)
            .to_dict("records")
        ),
    ),
    "bias_in_bios": (
        rows("\t", ("hard_text", "profession", "gender"), ("She is é.", "nurse", "1"), ("Hé is.", "13", "0")),
        lambda path: (
            bias_in_bios._table(Scoring(None, {"items": [_named(path, ".tsv")]}), bias_in_bios.Settings())
            .drop(columns=PLACE)
            .to_dict("records")
        ),
    ),
    "prompts of jsonl": (
        '{"prompt": "A man said", "group": "é"}\n{"prompt": "À woman said", "group": "b"}\n',
        lambda path: [
            (each.text, each.group)
            for each in prompts.chosen_prompts(
                "toxicity", {"prompts": [_named(path, ".jsonl")]}, prompts.PromptSettings()
            )
        ],
    ),
    "prompts": (
        "A man said\nÀ woman said\n",
        lambda path: [
            each.text for each in prompts.chosen_prompts("toxicity", {"prompts": [path]}, prompts.PromptSettings())
        ],
    ),
}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_damaged_files_are_read_or_refused_by_name(tmp_path, batch):
    refused = 0
    for seed in range(batch, DAMAGES, BATCHES):
        draw = random.Random(seed)
        name = draw.choice(list(READERS))
        content, read = READERS[name]
        path = tmp_path / f"file{seed}"
        path.write_bytes(damaged(draw, content.encode()))
        try:
            assert read(path) is not None
        except UserError as error:
            refused += 1
            assert str(path) in str(error), (seed, error)
    assert refused > DAMAGES / BATCHES / 4


def content_of(found):
    """What was read, without where it was."""
    if isinstance(found, dict):
        return found
    return [
        [getattr(each, field.name) for field in fields(each) if field.name != "place"]
        if is_dataclass(each)
        else {key: value for key, value in each.items() if key != bec_pro.PLACE}
        if isinstance(each, dict)
        else each
        for each in found
    ]


@pytest.mark.parametrize("name", READERS)
def test_a_byte_order_mark_line_ends_of_windows_and_packing_change_nothing(tmp_path, name):
    content, read = READERS[name]
    found = []
    for file, data in {
        "plain": content.encode(),
        "marked": content.encode("utf-8-sig"),
        "windows": content.replace("\n", "\r\n").encode("utf-8-sig"),
        "packed.gz": gzip.compress(content.encode()),
    }.items():
        (tmp_path / file / "type1").mkdir(parents=True)
        path = tmp_path / file / "type1" / "file"
        path.write_bytes(data)
        found.append(content_of(read(path)))
    assert found[0] and all(each == found[0] for each in found[1:])


def written(tmp_path: Path, content: str) -> Path:
    (tmp_path / "file").write_text(content, encoding="utf-8")
    return tmp_path / "file"


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize(
    "key", ["category", "context", "question", "ans0", "answer_info", "label", "context_condition"]
)
def test_bbq_takes_no_other_type_for_a_text(tmp_path, key, wrong):
    row = question(1) | {key: wrong}
    path = written(tmp_path, json.dumps(question(0)) + "\n\n" + json.dumps(row))
    with pytest.raises(UserError, match=r"line 3: no question of BBQ"):
        bbq.read([path], [])


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("key", ["id", "target", "bias_type", "context", "sentences"])
def test_stereoset_takes_no_other_type_for_a_text(tmp_path, key, wrong):
    content = copy.deepcopy(stereoset())
    content["data"]["intrasentence"][1][key] = wrong
    try:
        found = contexts.read([written(tmp_path, json.dumps(content))])
    except UserError as error:
        assert str(tmp_path / "file") in str(error)
        return
    # A context without its three sentences is scored as skipped, with the reason.
    assert key == "sentences" and isinstance(contexts.fillers(found[1]), str) and len(found) == 3


CASES = {
    "honest templates": {
        "no blank": (
            rows("\t", honest.COLUMNS, ("The man is.", "[I] is.", "man", "male")),
            r"line 2: .* needs \[M\] once",
        ),
        "a row cut short": (rows("\t", honest.COLUMNS, ("He is [M].", "[I] is [M].", "man")), "line 2: more or fewer"),
        "no category": (rows("\t", honest.COLUMNS, ("He is [M].", "[I] [M].", "man", " ")), "line 2: no category"),
        "a column twice": (rows("\t", (*honest.COLUMNS, "raw"), tuple("abcde")), "line 1: more than one column raw"),
    },
    "honest lexicon": {
        "no column": (rows("\t", ("lemma", "level"), ("a", "b")), "line 1: no column category"),
        "no word": (rows("\t", ("lemma", "category", "level"), (" ", "a", "b")), "line 2: an empty lemma"),
    },
    "disco persons": {
        "no pair": ("A\tB\nC\n", "line 2: 'C' is no pair"),
        "three": ("A\tB\tC\n", "line 1: .* is no pair"),
        "nothing": ("\n", "has no lines"),
    },
    "disco templates": {"no blank": ("PERSON is BLANK.\nPERSON is.\n", "line 2: .* needs PERSON once and BLANK once")},
    "matched guise": {"no pair": ("a\tb\n\nc\t\n", "line 3: .* is no pair"), "nothing": (" \n", "has no lines")},
    "profanity": {"no letters": ("mule\n\u0301\n", "line 2: .* has no letters"), "nothing": ("", "has no lines")},
    "crows_pairs": {
        "a group called all": (crows().replace(",gender,", ",all,", 1), "line 2: a bias type called"),
        "a group called stereo": (crows().replace(",gender,", ",stereo,", 1), "line 2: a bias type called"),
        "no group": (crows().replace(",gender,", ",,", 1), "line 2: no bias type"),
        "a column twice": (crows().replace("annotations", "sent_more"), "line 1: more than one column sent_more"),
        "a header alone": (crows().splitlines()[0], "has no rows"),
        "an open quote": (crows().replace("He said 0.", '"He said 0.'), "line 2: .*a quote may be open"),
        "an open quote at the end": (crows()[:-1] + ',"open\n', "line 5: .*a quote may be open"),
    },
    "winogender": {
        "a version twice": (GENDER + GENDER.splitlines()[1] + "\n", "lines 2 and 5: .* occurs twice"),
        "a short version": (GENDER.replace("they was late", "they"), "line 4: .*do not differ in one pronoun"),
    },
    "word list": {
        "no word": ("nurse\n\n17 guards\n", "line 3: no word to put an article before"),
        "nothing": ("\n", "has no word;"),
        "another alphabet": ("няня\n", "line 1: no word"),
    },
    "bbq": {
        "a list": ("[1]\n", "line 1: no question"),
        "deep": ("[" * 100_000 + "\n", "line 1: no question"),
        "a key twice": (json.dumps(question(0))[:-1] + ', "label": 1}', "line 1: .*the key 'label' is there twice"),
        "twice": (json.dumps(question(0)) + "\n" + json.dumps(question(0)), "line 2: Age/00000 occurs twice"),
    },
    "stereoset": {
        "deep": ("[" * 100_000, "is not a StereoSet file"),
        "a list": ("[]", "is not a StereoSet file"),
        "a key twice": (
            json.dumps(stereoset(), indent=1).replace('"target": "nurse",', '"target": "nurse",\n"target": "x",'),
            "line 7: the key 'target' is there twice",
        ),
    },
}


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in CASES.items() for case in cases])
def test_what_would_be_dropped_or_misread_is_refused(tmp_path, name, case):
    content, said = CASES[name][case]
    with pytest.raises(UserError, match=said):
        READERS[name][1](written(tmp_path, content))


@pytest.mark.parametrize("share", ["nan", "inf", "-1", "101", "x", ""])
def test_percentages_of_winogender_are_percentages(tmp_path, share):
    content = rows("\t", ("occupation", "bergsma_pct_female", "bls_pct_female"), ("nurse", "50", share))
    with pytest.raises(UserError, match="line 2"):
        winogender.read_statistics([written(tmp_path, content)])


def test_an_occupation_of_winogender_has_one_percentage_in_all_files(tmp_path):
    header = ("occupation", "bergsma_pct_female", "bls_pct_female")
    (tmp_path / "first").write_text(rows("\t", header, ("nurse", "50", "90")))
    assert winogender.read_statistics([tmp_path / "first"]) == {"nurse": (90.0, 50.0)}
    second = written(tmp_path, rows("\t", header, ("clerk", "50", "70"), ("nurse", "50", "80")))
    with pytest.raises(UserError, match=r"file, line 3: nurse occurs twice"):
        winogender.read_statistics([tmp_path / "first", second])


def test_lines_end_where_editors_end_them(tmp_path):
    path = written(tmp_path, "nurse\rguard\r\nclerk\n")
    assert bias_nli._words(tmp_path, "file") == ["clerk", "guard", "nurse"]
    separated = crows().replace("He said 1.", "He said\u2028 1.\x0c")
    path.write_text(separated, encoding="utf-8")
    assert [pair.less for pair in sentence_pairs.read([path])][:2] == ["He said 0.", "He said\u2028 1.\x0c"]
    path.write_text(separated.replace("He said 2.", ""), encoding="utf-8")
    with pytest.raises(UserError, match=r"line 4: an empty sentence"):
        sentence_pairs.read([path])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name\ttext\tname\na\tb\tc\n", "line 1: more than one column name"),
        ('name\ttext\n"a\tb\nc\td\n', "line 2: .*a quote may be open"),
    ],
)
def test_tables_of_two_meanings_are_refused(tmp_path, content, said):
    with pytest.raises(UserError, match=f"file.*{said}"):
        table_rows(written(tmp_path, content), "honest", "templates", "a file", ("name", "text"), "\t")


def test_quotes_are_characters_where_a_format_has_no_quoting(tmp_path):
    path = written(tmp_path, 'name\ttext\n"a\tb "c"\n')
    found = table_rows(path, "honest", "lexicon", "a file", ("name", "text"), "\t", quoting=False)
    assert found == [(2, {"name": '"a', "text": 'b "c"'})]


@pytest.mark.parametrize(
    "line",
    ['{"prompt": "a", "group": null}', '{"prompt": "a", "group": " "}', '{"prompt": "a", "group": 1}', "[" * 10**5],
)
def test_prompts_without_a_group_that_is_text_and_deep_ones_are_refused(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}\n' + line)
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: "):
        prompts.chosen_prompts("toxicity", {"prompts": [tmp_path / "a.jsonl"]}, prompts.PromptSettings())


def test_a_deep_file_of_seat_is_refused(tmp_path):
    with pytest.raises(UserError, match="file is no JSON object"):
        published.read([written(tmp_path, "[" * 10**5)])
