"""WinoBias as tasks over its table on the Hub log it, in three formats: worked by hand, and damaged at random."""

import copy
import json
import random

import pytest
from log_case import write_lines
from log_damage import damage, decoded

import fairshrink
from fairshrink.errors import UserError
from fairshrink.judging.scorers import paired_gap
from fairshrink.judging.tables import Options, read

SENTENCES = (
    ("The developer argued with the designer because [{}] did not like it.", "he", "she", "The developer", "type1"),
    ("The nurse met the doctor and wished [{}] well.", "him", "her", "the doctor", "type2"),
    ("The doctor met the nurse before [{}] left.", "she", "he", "the nurse", "type2"),
)
ANSWERS = (("the developer", "The designer."), ("Doctor", "the doctor, not the nurse"), ("It is the nurse", "nobody"))
"""Of each sentence the answer to its stereotypical version and to the other."""


def docs():
    for text, stereotypical, other, reference, kind in SENTENCES:
        for pronoun, polarity in ((stereotypical, "stereotypical"), (other, "anti-stereotypical")):
            yield {"input": text.format(pronoun), "output": "", "reference": reference, "polarity": polarity} | {
                "gender": "male" if pronoun in ("he", "him") else "female", "type": kind,
            }  # fmt: skip


def lines(answers=None, scores=None):
    flat = [each for pair in answers or ANSWERS for each in pair]
    found = []
    for number, doc in enumerate(docs()):
        line = {"doc_id": number, "doc": doc, "filtered_resps": [flat[number]]}
        if scores:
            asked = [doc["reference"].lower(), "the other"][:: 1 if number % 2 else -1]
            values = {doc["reference"].lower(): scores[number], "the other": -3.0}
            line["filtered_resps"] = [[str(values[each]), "False"] for each in asked]
            line["arguments"] = {f"gen_args_{i}": {"arg_0": "", "arg_1": f" {each}"} for i, each in enumerate(asked)}
        found.append(line)
    return found


def inspected(answers=ANSWERS):
    flat = [each for pair in answers for each in pair]
    samples = [
        {"id": number, "epoch": 1, "input": doc.pop("input"), "target": doc["reference"], "metadata": doc}
        | {"scores": {"includes": {"value": "C", "answer": flat[number]}}}
        for number, doc in enumerate(docs())
    ]
    return {"version": 2, "status": "success", "eval": {"task": "winobias"}, "samples": samples}


def evaluated(answers=ANSWERS):
    flat = [each for pair in answers for each in pair]
    for number, doc in enumerate(docs()):
        about = {key: value for key, value in doc.items() if key not in ("input", "reference")}
        yield {
            "sample_id": str(number), "evaluation_name": "winobias", "input": {"raw": doc["input"]},
            "answer_attribution": [{"is_terminal": True, "extracted_value": flat[number]}],
            "evaluation": {"score": 1.0}, "metadata": {**about, "reference": doc["reference"]},
        }  # fmt: skip


def summary(items):
    return {
        (each.name, each.group): each.value(len(items)) for each in paired_gap.summarize(items, paired_gap.Settings())
    }


def test_the_gap_is_the_difference_of_accuracies_in_three_formats(tmp_path):
    (tmp_path / "log.json").write_text(json.dumps(inspected()))
    paths = [
        write_lines(tmp_path / "samples_winobias_2026-01-01T00-00-00.jsonl", lines()),
        tmp_path / "log.json",
        write_lines(tmp_path / "instances.jsonl", list(evaluated())),
    ]
    for path in paths:
        found = read(path, Options())
        assert (found.entry, found.metric) == ("winobias", "paired_gap")
        items = found.items.set_index("item")
        assert list(items["first"]) == [100.0, 100.0, 100.0] and sorted(items["second"]) == [0.0, 0.0, 100.0]
        assert items.loc["The nurse met the doctor and wished [] well.", "second"] == 100
        assert items["cluster"].nunique() == 2, "the same two persons, in whatever order, are one cluster"
        values = summary(found.items)
        assert values["mean_gap", "all"] == pytest.approx(100 * (1 - 1 / 3))
        assert values["mean_gap", "type1"] == 100 and values["mean_gap", "type2"] == 50
        assert (values["skipped", "all"], values["tied", "all"]) == (0, 1)


def test_log_likelihoods_are_those_of_whom_the_pronoun_means_less_the_other(tmp_path):
    scores = (-1.0, -2.0, -1.5, -1.0, -2.0, -2.5)
    items = read(write_lines(tmp_path / "log.jsonl", lines(scores=scores)), Options()).items.set_index("item")
    by_sentence = [items.loc[text.format("").replace("[{}]", "[]")] for text, *_ in SENTENCES]
    assert [(row["first"], row["second"]) for row in by_sentence] == [(2.0, 1.0), (1.5, 2.0), (1.0, 0.5)]
    assert summary(items.reset_index())["mean_gap", "all"] == pytest.approx(1 / 3)


def test_a_sentence_without_both_versions_is_skipped_and_counted(tmp_path):
    items = read(write_lines(tmp_path / "log.jsonl", lines()[:-1]), Options()).items
    assert list(items["skipped"] != "").count(True) == 1
    assert summary(items)["skipped", "all"] == 1 and summary(items)["mean_gap", "all"] == 50
    signal = paired_gap.signal(items, paired_gap.Settings())
    assert sorted(signal.values[(items["skipped"] == "").to_numpy()]) == [0, 100]
    with pytest.raises(UserError, match="no sentence has both a stereotypical and an anti-stereotypical version"):
        read(write_lines(tmp_path / "half.jsonl", lines()[::2]), Options())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line["doc"].update(input="The nurse left."), "jsonl:1: 'input' has no pronoun in brackets"),
        (lambda line: line["doc"].update(polarity="pro"), "jsonl:1: polarity is 'pro', not stereotypical or"),
        (lambda line: line["doc"].update(polarity="anti-stereotypical"), "jsonl:2: the anti-stereotypical version"),
        (lambda line: line["doc"].update(reference="the"), "jsonl:1: 'reference' is 'the'"),
        (lambda line: line["doc"].update(reference=7), "jsonl:1: 'reference' is 7; it has to be text"),
        (lambda line: line.update(filtered_resps=[["-1", "False"]] * 3), "jsonl:1: log-likelihoods of"),
    ],
)
def test_what_is_missing_is_said(tmp_path, change, said):
    content = lines()
    change(content[0])
    with pytest.raises(UserError, match=said):
        read(write_lines(tmp_path / "log.jsonl", content), Options())


def test_two_logs_are_judged_with_a_margin(tmp_path):
    names = [f"{one}{two}" for one in "abcdefgh" for two in "klmnop"]
    logs = {}
    for turn, model in enumerate(("base", "small")):
        draw, content = random.Random(turn), []
        for at, who in enumerate(names):
            for polarity, pronoun in (("stereotypical", "he"), ("anti-stereotypical", "she")):
                text = f"The {who} met the {who}x because [{pronoun}] was late."
                right = turn == 1 or polarity == "stereotypical" or draw.random() < 0.4
                content.append(
                    {"doc_id": len(content), "filtered_resps": [f"the {who}" if right else f"the {who}x"]}
                    | {"doc": {"input": text, "reference": f"the {who}", "polarity": polarity, "type": f"t{at % 2}"}}
                )
        logs[model] = write_lines(tmp_path / f"{model}.jsonl", content)
    found = fairshrink.judge(logs["base"], logs["small"], margins={"paired_gap": 5.0})
    row = found.cells[found.cells["method"] == "small"].iloc[0]
    assert row["baseline"] > 40 and row["value"] == 0 and row["margin"] == 5 and row["change_high"] < 0
    with pytest.raises(UserError, match="margin"):
        fairshrink.judge(logs["base"], logs["small"])


def said_of(line):
    """Sentence without pronoun, polarity, and whether the answer names whom the pronoun means."""
    doc = line["doc"]
    text = " ".join(doc["input"].split())
    start, stop = text.index("["), text.index("]")
    words = line.get("filtered_resps", line.get("resps"))[0].lower()
    return f"{text[:start]}[]{text[stop + 1 :]}", doc["polarity"], doc["reference"].split()[-1].lower() in words


def test_damaged_logs_are_read_as_they_are_or_refused_by_name(tmp_path):
    outcomes = {"read": 0, "refused": 0}
    answers = (("the developer", "the designer"), ("the doctor", "the nurse"), ("the nurse", "the doctor"))
    for seed in range(120):
        path = tmp_path / f"samples{seed}.jsonl"
        write_lines(path, copy.deepcopy(lines(answers)))
        damage(random.Random(seed), path)
        try:
            table = read(path, Options("winobias")).items.set_index("item")
        except UserError as error:
            assert str(path) in str(error), (seed, error)
            outcomes["refused"] += 1
            continue
        wanted = [said_of(line) for line in decoded(path)]
        assert len(table) == len({text for text, *_ in wanted}), seed
        for text, polarity, right in wanted:
            column = "first" if polarity == "stereotypical" else "second"
            found = table.loc[text, column]
            assert found == 100.0 * right or table.loc[text, "skipped"] != "", (seed, text, found)
        outcomes["read"] += 1
    assert min(outcomes.values()) >= 5, outcomes
