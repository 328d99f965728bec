"""Labeled tables: what is read, in which order and form, and what mistakes say."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from fairshrink.data import tables
from fairshrink.data.table import TableReference
from fairshrink.errors import UserError


def read(reference: dict) -> pd.DataFrame:
    return tables.read(TableReference(**reference))


NLI = ["entailment", "neutral", "contradiction"]


@pytest.fixture
def reference(tmp_path):
    def make(content: str | bytes, format: str = "csv", name: str = "t", **keys) -> dict:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / f"{name}.{format}").write_bytes(data)
        columns = {"text": "sentence", "label": "score"}
        return {"path": str(tmp_path), "file": f"{name}.{format}", "format": format, "columns": columns} | keys

    return make


def test_csv_with_quotes_numbers_and_other_columns(reference):
    table = read(reference('id,sentence,score\n1,"a, ""b""",0.5\n2,007,-1\n3,NA,2e1\n'))
    assert list(table.columns) == ["text", "label"]
    assert table["text"].tolist() == ['a, "b"', "007", "NA"]
    assert table["label"].tolist() == [0.5, -1.0, 20.0] and table["label"].dtype == "float64"


def test_texts_that_look_like_numbers_stay_texts(reference):
    assert read(reference("sentence,score\n007,1\n1.50,2\n"))["text"].tolist() == ["007", "1.50"]


def test_tsv_without_header_keeps_quotes_and_reads_latin_1(reference):
    content = '1\t-0.5\t"Na\xefve, he said\n2\t3\tit\'s 5" wide\n'.encode("latin-1")
    keys = {"header": False, "encoding": "latin-1", "columns": {"label": 1, "text": 2}}
    table = read(reference(content, "tsv", **keys))
    assert table["text"].tolist() == ['"Na\xefve, he said', "it's 5\" wide"]
    assert table["label"].tolist() == [-0.5, 3.0]


def test_quoting_can_be_chosen(reference):
    tsv = 'sentence\tscore\n"a\tb"\t1\n'
    assert read(reference(tsv, "tsv", quoting=True))["text"].tolist() == ["a\tb"]
    assert read(reference('sentence,score\n"a",1\n', quoting=False))["text"].tolist() == ['"a"']


def test_jsonl_and_parquet_give_the_same(reference, tmp_path):
    rows = [{"sentence": "2020-01-01", "b": "second", "score": 1}, {"sentence": "x", "b": "y", "score": 0}]
    keys = {"columns": {"text": "sentence", "text_pair": "b", "label": "score"}}
    lines = read(reference("\n".join(map(json.dumps, rows)), "jsonl", **keys))
    pd.DataFrame(rows).to_parquet(tmp_path / "p.parquet")
    parquet = read({"path": str(tmp_path), "file": "p.parquet", "format": "parquet"} | keys)
    assert lines.to_dict("list") == parquet.to_dict("list")
    assert lines.to_dict("list") == {"text": ["2020-01-01", "x"], "text_pair": ["second", "y"], "label": [1.0, 0.0]}


def test_several_files_are_concatenated(reference):
    reference("sentence,score\nb,1\n", name="two")
    one = reference("sentence,score\na,0\n", name="one")
    table = read(one | {"file": ["two.csv", "one.csv"]})
    assert table["text"].tolist() == ["b", "a"] and table.index.tolist() == [0, 1]


def test_a_table_without_labels(reference):
    table = read(reference("sentence,score\na,?\n", columns={"text": "sentence"}))
    assert list(table.columns) == ["text"]


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        (["neutral", "entailment"], NLI, [1, 0]),
        ([2, 0], NLI, [2, 0]),
        (["2", "0"], NLI, [2, 0]),
        (["1", "0"], ["1", "0"], [0, 1]),
        ([1.0, 2.0], NLI, [1, 2]),
    ],
)
def test_labels_become_positions(tmp_path, values, labels, expected):
    pd.DataFrame({"t": ["a", "b"], "y": values}).to_parquet(tmp_path / "t.parquet")
    ref = {"path": str(tmp_path), "file": "t.parquet", "format": "parquet", "columns": {"text": "t", "label": "y"}}
    table = read(ref | {"labels": labels})
    assert table["label"].tolist() == expected and table["label"].dtype == "int64"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["neutral", "hidden"], "'hidden'"),
        ([0, -1], "'-1'"),
        ([0, 3], "'3'"),
        ([0, 0.5], "'0.5'"),
        (["0", "neutral"], "'0'"),
        (["neutral", None], "row 2"),
    ],
)
def test_unknown_labels_are_shown_with_their_row(tmp_path, values, shown):
    pd.DataFrame({"t": ["a", "b"], "y": values}).to_parquet(tmp_path / "t.parquet")
    ref = {"path": str(tmp_path), "file": "t.parquet", "format": "parquet", "columns": {"text": "t", "label": "y"}}
    with pytest.raises(UserError, match=r"column 'y', row [12].*none of the labels entailment, neutral") as raised:
        read(ref | {"labels": NLI})
    assert shown in str(raised.value)


@pytest.mark.parametrize(
    ("content", "keys", "message"),
    [
        ("sentence,score\na,1\nb,high\n", {}, r"'score', row 2: 'high' is not a number.*labels: \["),
        ("sentence,score\na,\n", {}, "row 1: 'nan' is not a number"),
        ("sentence,score\na,inf\n", {}, "'inf' is not a number"),
        ("sentence,score\na,1\n,2\n", {}, "'sentence', row 2: the text is empty"),
        ("sentence,score\n'  ',1\n   ,1\n", {}, "row 2: the text is empty"),
        ("text,score\na,1\n", {}, "no column 'sentence' for text; the columns are text, score"),
        ("sentences,score\na,1\n", {}, "did you mean 'sentences'"),
        ("a,b\nc,d\n", {"header": False, "columns": {"text": 2}}, "no column '2' for text; the columns are 0, 1"),
        ("sentence,score\na,1,2\nb,1,2,3\n", {}, "cannot be read as csv.*check `format`"),
        ("", {}, "cannot be read as csv"),
        (b"sentence,score\n\xe9t\xe9,1\n", {}, "cannot be read as csv.*`encoding`"),
        ("sentence,score\na,1\n", {"encoding": "latin-one"}, "cannot be read as csv.*latin-one"),
        ("sentence,score\na,1\n", {"format": "parquet"}, "cannot be read as parquet"),
        ("sentence,score\na,1\n", {"format": "jsonl"}, "cannot be read as jsonl"),
        ("sentence,score\na,1\n", {"file": "s.csv"}, "no such file in the download; did you mean 't.csv'"),
        ("sentence,score\na,1\n", {"file": "../t.csv"}, "leads out of its download"),
    ],
)
def test_mistakes_say_what_and_where(reference, content, keys, message):
    with pytest.raises(UserError, match=message):
        read(reference(content) | keys)
