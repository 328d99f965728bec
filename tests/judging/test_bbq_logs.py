"""BBQ as lm-evaluation-harness logs it: worked by hand, item by item."""

import numpy as np
import pytest
from log_case import write_lines

from fairshrink.errors import UserError
from fairshrink.judging.tables import Options, read
from fairshrink.metrics.bbq import metric as bbq

UNKNOWN = ["Unknown", "Cannot answer"]


def line(number, scores, condition="ambig", label=2, polarity="neg"):
    """Answers: the old man (biased, by the metadata below), the young man, not known."""
    asked = [" The old man", " The young man", *(f" {each}" for each in UNKNOWN)]
    info = {"ans0": ["old man", "old"], "ans1": ["young man", "nonOld"], "ans2": ["Not known", "unknown"]}
    doc = {
        "example_id": number, "question_index": "1", "category": "Age", "context_condition": condition,
        "question_polarity": polarity, "context": "c", "question": "q", "label": label, "answer_info": info,
        "ans0": "The old man", "ans1": "The young man", "ans2": "Not known", "biased_answers": [],
    }  # fmt: skip
    return {
        "doc_id": number,
        "doc": doc,
        "arguments": {f"gen_args_{i}": {"arg_0": "", "arg_1": text} for i, text in enumerate(asked)},
        "filtered_resps": [[str(each), "False"] for each in scores],
    }


@pytest.fixture
def metadata(tmp_path):
    rows = [f"Age,{number},1,{0 if number < 5 else 'NA'}" for number in range(6)]
    (tmp_path / "meta.csv").write_text("category,example_id,question_index,target_loc\n" + "\n".join(rows) + "\n")
    return {"metadata": [tmp_path / "meta.csv"]}


def test_answers_are_the_likeliest_options(tmp_path, metadata):
    lines = [
        line(0, [-1, -2, -3, -4]),  # biased
        line(1, [-2, -1, -3, -4]),  # the other
        line(2, [-2, -2, -3, -1]),  # unknown, in another phrase than the item's own
        line(3, [-1, -1, -3, -4]),  # two alike: half each
        line(4, [-1, -2, -3, -4], "disambig", 0),
        line(5, [-1, -2, -3, -4]),  # nobody says which is biased
    ]
    items = read(write_lines(tmp_path / "log.jsonl", lines), Options(data=metadata)).items
    assert items[["biased", "counter", "unknown"]].to_numpy()[:5].tolist() == [
        [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [1, 0, 0],
    ]  # fmt: skip
    assert list(items["skipped"] != "") == [False] * 5 + [True]
    found = {(each.name, each.group): each.value(6) for each in bbq.summarize(items, bbq.Settings())}
    # Of four ambiguous questions one answer each way, one unknown, one half and half.
    assert found["s_amb", "all"] == pytest.approx(0.0)
    assert found["accuracy_ambiguous", "all"] == pytest.approx(0.25)
    assert found["s_dis", "all"] == pytest.approx(1.0)
    assert found["skipped", "all"] == 1
    assert np.isnan(items["score_biased"].iloc[5])


def test_what_is_missing_is_said(tmp_path, metadata):
    path = write_lines(tmp_path / "log.jsonl", [line(0, [-1, -2, -3, -4])])
    with pytest.raises(UserError, match=r"--data metadata=additional_metadata\.csv"):
        read(path, Options())
    path = write_lines(tmp_path / "log.jsonl", [line(0, [-1, -2, -3, -4]) | {"arguments": {}}])
    with pytest.raises(UserError, match=r"log\.jsonl:1: a log-likelihood and the text of each option"):
        read(path, Options(data=metadata))
    wrong = line(0, [-1, -2, -3, -4])
    wrong["arguments"]["gen_args_0"]["arg_1"] = "Somebody"
    with pytest.raises(UserError, match=r"log\.jsonl:1: the options are not"):
        read(write_lines(tmp_path / "log.jsonl", [wrong]), Options(data=metadata))
    odd = line(0, [-1, -2, -3, -4], condition="odd")
    with pytest.raises(UserError, match=r"log\.jsonl:1: no question of BBQ"):
        read(write_lines(tmp_path / "log.jsonl", [odd]), Options(data=metadata))
