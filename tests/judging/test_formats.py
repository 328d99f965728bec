"""Logs of other programs are read strictly: what is not as it should be is named with file and line."""

import json

import numpy as np
import pandas as pd
import pytest
from log_case import crows_line, preferences, write_crows, write_lines

from fairshrink.errors import UserError
from fairshrink.judging.tables import Options, read

PLAIN = Options()


def refused(path, options=PLAIN):
    with pytest.raises(UserError) as error:
        read(path, options)
    return str(error.value)


def test_samples_of_lm_evaluation_harness_are_read_with_their_direction(tmp_path):
    values = preferences(7)
    table = read(write_crows(tmp_path / "samples_crows_pairs_english_2025-01-02T03-04-05.678.jsonl", values), PLAIN)
    assert (table.metric, table.entry) == ("crows_pairs", "crows_pairs_english")
    by_item = table.items.set_index("item").loc[[str(each) for each in range(7)]]
    assert (by_item["more"] - by_item["less"]).to_numpy() == pytest.approx(values)
    assert list(by_item["group"]) == ["gender", "race-color", "age"] * 2 + ["gender"]
    assert list(by_item["direction"])[:2] == ["antistereo", "stereo"]
    assert table.where["3"].endswith(":4")


def test_numbers_as_numbers_and_requests_as_lists_are_the_older_way(tmp_path):
    new = crows_line(0, 1.5)
    old = new | {
        "filtered_resps": [[-49.25, False], [-50.75, False]],
        "arguments": [["", "One 0."], ["", "Other 0."]],
    }
    tables = [
        read(write_lines(tmp_path / f"{name}.jsonl", [line]), PLAIN).items for name, line in (("a", new), ("b", old))
    ]
    pd.testing.assert_frame_equal(*tables)


def test_sentences_asked_for_in_the_other_order_are_told_apart_by_their_texts(tmp_path):
    line = crows_line(0, 1.5)
    arguments = line["arguments"]
    turned = line | {"arguments": {"gen_args_0": arguments["gen_args_1"], "gen_args_1": arguments["gen_args_0"]}}
    items = read(write_lines(tmp_path / "log.jsonl", [turned]), PLAIN).items
    assert (items["more"] - items["less"])[0] == pytest.approx(-1.5)
    other = {"gen_args_0": {"arg_1": "Something"}, "gen_args_1": {"arg_1": "else"}}
    assert "other texts" in refused(write_lines(tmp_path / "log.jsonl", [line | {"arguments": other}]))


def without(name, **doc):
    line = crows_line(0, 1.0)
    return {**line, "doc": {key: value for key, value in line["doc"].items() if key != name} | doc}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([crows_line(0, 1.0), crows_line(0, 1.0)], ":2: item '0' occurs twice, first at "),
        ([crows_line(0, 1.0), crows_line(1, float("nan"))], ":2: log-likelihood 1 is 'nan'; it has to be a finite"),
        ([crows_line(0, 1.0), crows_line(1, 1.0, filtered_resps=[["-1", "False"]])], ":2: 1 log-likelihoods"),
        ([crows_line(0, 1.0, filtered_resps=[])], ":1: no answers"),
        ([crows_line(0, 1.0, filtered_resps=["a", ["-1", "False"]])], ":1: 'filtered_resps' holds neither"),
        ([crows_line(0, 1.0, doc="text")], ":1: 'doc' is no object"),
        ([without("bias_type")], ":1: the item has no field 'bias_type'; it has sent_less, sent_more"),
        ([without("", stereo_antistereo="both")], ":1: stereo_antistereo is 'both'"),
        ([without("", bias_type=13)], ":1: 'bias_type' is 13; it has to be text"),
        ([without("sent_more")], "tell which metric it is about; write `--metric NAME`"),
        ([crows_line(0, 1.0), crows_line(0, 1.0, filter="strict")], "choose with `--select` one of none, strict"),
        ([{"a": 1}], "neither samples of lm-evaluation-harness"),
        ([], "the log has no items"),
    ],
)
def test_what_a_log_does_not_carry_is_named_with_file_and_line(lines, message, tmp_path):
    said = refused(write_lines(tmp_path / "log.jsonl", lines))
    assert message in said
    assert str(tmp_path / "log.jsonl") in said


def test_one_of_several_filters_can_be_chosen(tmp_path):
    path = write_lines(tmp_path / "log.jsonl", [crows_line(0, 1.0), crows_line(0, 2.0, filter="strict")])
    items = read(path, Options(select="strict")).items
    assert (items["more"] - items["less"])[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.jsonl", b'{"doc_id": 0,\n', "cut.jsonl:1: not a JSON object"),
        ("list.jsonl", b"[1]\n", "list.jsonl:1: a JSON list"),
        ("latin.jsonl", b'{"doc_id": 0}\n{"x": "\xe9"}\n', "latin.jsonl:2: not UTF-8"),
        ("cut.json", b'{"eval": {\n"task"', "cut.json:2: no JSON"),
        ("some.json", b'{"a": 1}', "no log of Inspect"),
        ("all.json", b'{"evaluation_results": []}', "aggregate results, without items"),
        ("run.json", b'{"eval": {}, "status": "error"}', "the run has the status 'error'"),
        ("none.json", b'{"eval": {}, "status": "success"}', "the log has no samples"),
        ("log.eval", b"PK", "inspect log convert --to json"),
        ("log.txt", b"", "no format is called '.txt'"),
        ("bad.parquet", b"PAR1", "not a Parquet file"),
        ("short.csv", b"item,first,second\na,1,2\nb,1\n", "short.csv:3: 2 fields, and the header has 3"),
        ("open.csv", b'item,first\n"a,1\n', "open.csv:2: not CSV"),
        ("twice.csv", b"item,first,second\na,1,2\na,1,2\n", "twice.csv:3: item 'a' occurs twice, first at "),
        ("head.csv", b"item,first,second\n", "the table has no rows"),
        ("same.csv", b"item,first,first\na,1,2\n", "the column first is there twice"),
        ("name.csv", b"id,first,second\na,1,2\n", "write `--columns item=NAME`"),
        ("gap.csv", b"item,first,second\na,1,\nb,1,2\n", "the column 'second' has to hold numbers"),
        ("nan.csv", b"item,first,second\na,1,nan\nb,1,2\n", "no finite number for 1 items, such as 'a'"),
        ("less.csv", b"item,first\na,1\n", "no column 'second'"),
        ("all.csv", b"item,first,second,group\na,1,2,all\n", "a group is called all"),
    ],
)
def test_broken_files_are_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert message in refused(tmp_path / name, Options("paired_share"))


def test_a_missing_file_and_a_table_without_a_metric_are_errors(tmp_path):
    assert "cannot be read" in refused(tmp_path / "nowhere.jsonl")
    (tmp_path / "a.csv").write_text("item,first,second\na,1,2\n")
    assert "write `--metric NAME`" in refused(tmp_path / "a.csv")
    assert "no column wide" in refused(tmp_path / "a.csv", Options("paired_share", names={"first": "wide"}))
    assert "there is no metric 'paired_sahre'" in refused(tmp_path / "a.csv", Options("paired_sahre"))
    assert "no table of crows_pairs: no column 'skipped'" in refused(tmp_path / "a.csv", Options("crows_pairs"))


def test_columns_get_their_meaning_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("﻿id,he,she\n1,0.5,0.25\n\n002,-1,1e-3\n", encoding="utf-8")
    items = read(tmp_path / "a.csv", Options("paired_gap", names={"item": "id", "first": "he", "second": "she"})).items
    assert list(items["item"]) == ["002", "1"]
    assert list(items["cluster"]) == ["002", "1"]
    assert np.array_equal(items["first"], [-1, 0.5])


def sample(number, **changes):
    doc = crows_line(number, 0.0)["doc"]
    return {"id": number, "epoch": 1, "metadata": doc, "scores": {"match": {"value": "C", "answer": "x"}}} | changes


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([sample(1), sample(1)], "sample 2: item '1' occurs twice"),
        ([sample(1, epoch=2)], "sample 1: epoch 2"),
        ([sample(1, error={"message": "timeout"})], "sample 1: the sample failed"),
        ([sample(1, scores={"a": {"value": 1}, "b": {"value": 2}})], "there are several: scorers a, b"),
        ([sample(1, scores={"a": {"value": "good"}})], "the score is 'good'"),
        ([sample(1)], "sample 1: 0 log-likelihoods, and a pair"),
        ([{"epoch": 1}], "no sample of Inspect"),
    ],
)
def test_samples_of_inspect_are_checked(samples, message, tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"version": 2, "status": "success", "eval": {"task": "t"}, "samples": samples}))
    assert message in refused(path)


def test_instances_of_every_eval_ever_are_checked(tmp_path):
    line = {"sample_id": "a", "evaluation_name": "x", "input": {"raw": "", "reference": []}, "evaluation": {"score": 1}}
    path = write_lines(tmp_path / "log.jsonl", [line, line | {"sample_id": "b", "error": "refused"}])
    assert "log.jsonl:2: the instance failed (refused)" in refused(path)
    path = write_lines(tmp_path / "log.jsonl", [line, line | {"evaluation_name": "y"}])
    assert "evaluations x, y; choose with `--select`" in refused(path)


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("flag", [True, None], [1.0, np.nan]),
        ("flag", [True, False], [True, False]),
        ("flag", [None, None], [np.nan, np.nan]),
        ("flag", [1, 2.5], [1.0, 2.5]),
        ("flag", ["a", None], "log.jsonl:2: 'flag' is a null and at .*log.jsonl:1 a text"),
        ("flag", [1, "a"], "log.jsonl:2: 'flag' is a text and at .*log.jsonl:1 a number"),
        ("flag", [True, 1], "log.jsonl:2: 'flag' is a number and at .*log.jsonl:1 a truth value"),
        ("flag", [1, [1]], r"log.jsonl:2: 'flag' is \[1\]; it has to be"),
        ("flag", [1, 10**400], "log.jsonl:2: 'flag' is 10000.*; it has to be"),
        ("item", ["a", None], "log.jsonl:2: the item is None"),
    ],
)
def test_a_column_of_whole_rows_is_of_one_type(column, values, found, tmp_path):
    rows = [
        {"item": str(at), "cluster": "c", "first": 1.0, "second": 2.0, "flag": 1} | {column: each}
        for at, each in enumerate(values)
    ]
    path = write_lines(
        tmp_path / "log.jsonl", [{"doc_id": row["item"], "doc": {"fairshrink": row}, "resps": []} for row in rows]
    )
    table = Options("paired_gap")
    if isinstance(found, str):
        with pytest.raises(UserError, match=found):
            read(path, table)
    else:
        assert list(read(path, table).items["flag"]) == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize(
    ("column", "values"),
    [("item", ["a", None]), ("item", ["a", " "]), ("group", ["a", None]), ("cluster", [1.0, None])],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_item_without_name_or_group_is_named_by_its_row(column, values, form, tmp_path):
    frame = pd.DataFrame({"item": ["a", "b"], "first": [1.0, 2.0], "second": [0.0, 1.0]}).assign(**{column: values})
    path = tmp_path / f"table.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    if form == "csv" and column != "item":
        assert list(read(path, Options("paired_gap")).items[column]) == [str(values[0]), ""]
        return
    said = refused(path, Options("paired_gap"))
    assert f"nothing in the column '{column}'" in said
    assert (f"{path}:3: " if form == "csv" else f"{path}, row 2: ") in said
