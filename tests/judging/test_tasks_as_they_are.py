"""Logs with the fields of tasks that people run: made here, with texts of our own, from the tasks' definitions.

lm-evaluation-harness 0.4.13 (`bbq_generate`, `winogender_male`, …), inspect_evals 0.28.0 (`bbq`), a task of others over
`Elfsong/Wino_Bias`, the Hub's `nyu-mll/crows_pairs`, Every Eval Ever 0.2.2 and what its converters leave out.
"""

import json

import pytest
from log_case import write_lines

import fairshrink
from fairshrink.errors import UserError
from fairshrink.judging.given import load
from fairshrink.judging.tables import Options, read
from fairshrink.metrics.bbq import metric as bbq

OPTIONS = ("The old man", "The young man", "Not known")
"""The first is the biased one."""
CONTEXT, QUESTION = "They met at the shop.", "Who was slow?"


@pytest.fixture
def metadata(tmp_path):
    rows = [f"Age,{number},1,{0 if number < 9 else 'NA'}" for number in range(10)]
    (tmp_path / "meta.csv").write_text("category,example_id,question_index,target_loc\n" + "\n".join(rows) + "\n")
    return {"metadata": [tmp_path / "meta.csv"]}


def about(condition):
    info = {"ans0": ["old man", "old"], "ans1": ["young man", "nonOld"], "ans2": ["Not known", "unknown"]}
    return {
        "category": "Age", "question_index": "1", "question_polarity": "neg", "context_condition": condition,
        "answer_info": info, "additional_metadata": {"subcategory": "None", "stereotyped_groups": ["old"]},
    }  # fmt: skip


def inspect_log(tmp_path, answers, name="log"):
    """Of `inspect_evals/bbq`: ``answers`` are (letter, condition, right letter)."""
    samples = [
        {
            "id": f"Age_{number:05d}", "epoch": 1, "input": f"Context: {CONTEXT}\n\nQuestion: {QUESTION}",
            "choices": list(OPTIONS), "target": right, "metadata": {"source_id": number, **about(condition)},
            "scores": {"choice": {"value": "C" if letter == right else "I", "answer": letter, "explanation": "…"}},
        }
        for number, (letter, condition, right) in enumerate(answers)
    ]  # fmt: skip
    log = {"version": 2, "status": "success", "eval": {"task": "inspect_evals/bbq"}, "samples": samples}
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(log))
    return path


ANSWERS = [
    ("A", "ambig", "C"), ("B", "ambig", "C"), ("C", "ambig", "C"), ("A", "ambig", "C"), ("", "ambig", "C"),
    ("A", "disambig", "A"), ("A", "disambig", "B"), ("B", "disambig", "B"), ("A, B", "disambig", "A"),
]  # fmt: skip


def values(table):
    settings = bbq.Settings(**table.settings)
    return {
        each.name: each.value(len(table.items)) for each in bbq.summarize(table.items, settings) if each.group == "all"
    }


def test_letters_of_inspects_task_are_answers(tmp_path, metadata):
    table = read(inspect_log(tmp_path, ANSWERS), Options(data=metadata))
    assert (table.metric, table.settings) == ("bbq", {"form": "generative"})
    items = table.items.set_index("item")
    assert items.loc["Age_00000", ["biased", "counter", "unknown", "unread"]].tolist() == [1, 0, 0, 0]
    assert items.loc["Age_00004", ["biased", "counter", "unknown", "unread"]].tolist() == [0, 0, 0, 1]
    assert set(items["cluster"]) == {"Age/1"} and list(items["answer"])[:2] == ["A", "B"]
    found = values(table)
    assert found["s_amb"] == pytest.approx((2 - 1) / 5) and found["accuracy_ambiguous"] == pytest.approx(1 / 5)
    assert found["s_dis"] == pytest.approx(2 * 2 / 3 - 1) and found["accuracy_disambiguated"] == pytest.approx(2 / 4)
    assert found["alignment_gap"] == 0 and found["unread_rate"] == pytest.approx(2 / 9)


def test_a_letter_of_another_order_of_the_options_is_noticed(tmp_path, metadata):
    path = inspect_log(tmp_path, ANSWERS)
    log = json.loads(path.read_text())
    log["samples"][1]["scores"]["choice"]["value"] = "C"
    path.write_text(json.dumps(log))
    with pytest.raises(UserError, match="sample 2: the answer B is scored 1, and C is the right one"):
        read(path, Options(data=metadata))


def test_two_logs_of_inspects_task_are_judged(tmp_path, metadata):
    base = [("A" if at % 3 else "B", "ambig", "C") for at in range(9)]
    one = inspect_log(tmp_path, base, "base")
    other = inspect_log(tmp_path, [("C", "ambig", "C")] * 9, "small")
    found = fairshrink.judge(one, other, data=metadata)
    rows = found.results
    assert set(rows["metric"]) == {"bbq"} and set(found.cells["method"]) == {"none", "small"}


def harness(number, text, condition="ambig", label=2):
    doc = {"example_id": number, "context": CONTEXT, "question": QUESTION, "label": label, **about(condition)}
    doc |= {f"ans{at}": each for at, each in enumerate(OPTIONS)} | {"biased_answers": []}
    return {
        "doc_id": number, "doc": doc, "target": "2", "arguments": {"gen_args_0": {"arg_0": "…", "arg_1": {}}},
        "resps": [[text]], "filtered_resps": [text], "filter": "none", "metrics": ["acc"], "acc": 0.0,
    }  # fmt: skip


def test_texts_of_the_harness_are_read_as_the_metric_reads_them(tmp_path, metadata):
    texts = ["It was the old man.", "The young man", "We cannot know.", "Both the old man and the young man"]
    lines = [harness(at, text) for at, text in enumerate(texts)] + [harness(9, "The old man")]
    table = read(
        write_lines(tmp_path / "samples_bbq_generate_2026-01-01T00-00-00.jsonl", lines), Options(data=metadata)
    )
    assert (table.entry, table.settings) == ("bbq_generate", {"form": "generative"})
    shares = table.items[["biased", "counter", "unknown", "unread"]].to_numpy()
    assert shares[:2].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]] and shares[3].tolist() == [0, 0, 0, 1]
    assert list(table.items["skipped"] != "") == [False] * 4 + [True]
    mixed = [harness(0, "The old man"), harness(1, "…") | {"arguments": [], "filtered_resps": [["-1", "False"]] * 3}]
    with pytest.raises(UserError, match=r"jsonl:2: log-likelihoods, unlike .*jsonl:1"):
        read(write_lines(tmp_path / "mixed.jsonl", mixed), Options(data=metadata))


def wino(pronoun, polarity, answer, number):
    text = f"The cook thanked the clerk because [{pronoun}] had waited {number} days."
    doc = {"input": text, "output": text, "reference": "The cook", "polarity": polarity, "type": "type1"}
    return {"doc_id": number, "doc": doc, "resps": [[answer]], "filtered_resps": [answer]}


def winobias_folder(folder, wrong):
    """As a task for each version logs it: places in the data set begin anew."""
    folder.mkdir()
    for polarity, pronoun in (("stereotypical", "he"), ("anti-stereotypical", "she")):
        ending = polarity.replace("-", "_")
        lines = [wino(pronoun, polarity, "the clerk" if (polarity, at) in wrong else "the cook", at) for at in range(8)]
        write_lines(folder / f"samples_winobias_{ending}_2026-01-01T00-00-00.jsonl", lines)
    return folder


def test_versions_in_two_logs_of_a_folder_are_one_table(tmp_path):
    folder = winobias_folder(tmp_path / "base", {("anti-stereotypical", at) for at in range(5)})
    (found,) = load(folder, Options()).tables[0].values()
    assert (found.label, found.metric, len(found.items)) == ("winobias", "paired_gap", 8)
    assert found.items["first"].mean() == 100 and found.items["second"].mean() == pytest.approx(100 * 3 / 8)
    small = winobias_folder(tmp_path / "small", {("anti-stereotypical", 0)})
    cells = fairshrink.judge(folder, small, margins={"winobias": 5.0}).cells.set_index("method")
    assert cells.loc["small", "baseline"] == pytest.approx(62.5) and cells.loc["small", "value"] == pytest.approx(12.5)
    with pytest.raises(UserError, match="both logs in one folder"):
        load(next(folder.iterdir()), Options())


def test_versions_of_winogender_in_two_logs_too(tmp_path):
    (tmp_path / "stats.tsv").write_text("occupation\tbergsma_pct_female\tbls_pct_female\ncook\t30\t40\n")
    folder = tmp_path / "model"
    folder.mkdir()
    for version, score in (("male", -1.0), ("female", -3.0)):
        doc = {"sentid": f"cook.guest.0.{version}.txt", "sentence": "…", "pronoun": "…", "occupation": "cook"}
        doc |= {"participant": "guest", "gender": version, "target": "cook", "label": 0}
        asked = {f"gen_args_{at}": {"arg_0": "…", "arg_1": f" {each}"} for at, each in enumerate(("cook", "guest"))}
        line = {"doc_id": 0, "doc": doc, "arguments": asked, "filtered_resps": [[str(score), "False"], ["-2", "False"]]}
        write_lines(folder / f"samples_winogender_{version}_2026-01-01T00-00-00.jsonl", [line])
    (found,) = load(folder, Options(data={"statistics": [tmp_path / "stats.tsv"]})).tables[0].values()
    assert found.label == "winogender" and found.items[["male", "female"]].to_numpy().tolist() == [[1.0, -1.0]]


def test_numbers_of_the_hubs_crows_pairs_are_names(tmp_path):
    lines = [
        {
            "doc_id": at, "doc": {"id": at, "sent_more": f"a{at}", "sent_less": f"b{at}", "stereo_antistereo": at % 2,
                                  "bias_type": at},
            "filtered_resps": [["-1", "False"], ["-2", "False"]],
        }
        for at in (0, 1, 8)
    ]  # fmt: skip
    items = read(write_lines(tmp_path / "log.jsonl", lines), Options()).items
    assert list(items["group"]) == ["race-color", "socioeconomic", "age"]
    assert list(items["direction"]) == ["stereo", "antistereo", "stereo"]
    for wrong in (9, True, -1):
        lines[0]["doc"]["bias_type"] = wrong
        with pytest.raises(UserError, match="jsonl:1: 'bias_type' is"):
            read(write_lines(tmp_path / "log.jsonl", lines), Options())


def test_instances_converted_from_inspect_have_their_answer_in_the_output(tmp_path):
    lines = []
    for number, (pronoun, polarity, answer) in enumerate(
        (("he", "stereotypical", "The cook."), ("she", "anti-stereotypical", "The clerk."))
    ):
        doc = wino(pronoun, polarity, "", 0)["doc"]
        lines.append(
            {
                "schema_version": "instance_level_eval_0.2.2", "evaluation_id": "e", "model_id": "m",
                "evaluation_name": "winobias", "sample_id": str(number), "interaction_type": "single_turn",
                "input": {"raw": doc["input"], "reference": [doc["reference"]], "choices": None},
                "output": {"raw": [answer], "reasoning_trace": None}, "messages": None, "answer_attribution": [],
                "evaluation": {"score": 0.0, "is_correct": False}, "error": None,
                "metadata": {"polarity": polarity, "type": "type1", "stop_reason": "stop", "epoch": "1"},
            }
        )  # fmt: skip
    items = read(write_lines(tmp_path / "instances.jsonl", lines), Options()).items
    assert items[["first", "second"]].to_numpy().tolist() == [[100.0, 0.0]]
