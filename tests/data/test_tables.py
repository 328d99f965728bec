"""Labeled tables: what is read, in which order and form, and what mistakes say."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from fairshrink.data import tables
from fairshrink.data.faults import TableError
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


def parquet(folder, values, **keys) -> dict:
    """A reference to a table with these labels."""
    pd.DataFrame({"t": [f"text {number}" for number in range(len(values))], "y": values}).to_parquet(
        folder / "t.parquet"
    )
    columns = {"text": "t", "label": "y"}
    return {"path": str(folder), "file": "t.parquet", "format": "parquet", "columns": columns} | keys


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        (["neutral", "entailment"], NLI, ["neutral", "entailment"]),
        ([2, 0], {0: "entailment", 1: "neutral", 2: "contradiction"}, ["contradiction", "entailment"]),
        ([2.0, 0.0], {0: "entailment", 1: "neutral", 2: "contradiction"}, ["contradiction", "entailment"]),
        (["2", "0"], {0: "entailment", 1: "neutral", 2: "contradiction"}, ["contradiction", "entailment"]),
        (["2.0", "0.0"], {0.0: "no", 2.0: "yes"}, ["yes", "no"]),
        (["1", "0"], ["1", "0"], ["1", "0"]),
        ([1, 0], [1, 0], ["1", "0"]),
        ([1, 0], ["1", "0"], ["1", "0"]),
        ([True, False], [False, True], ["true", "false"]),
        ([True, False], {True: "toxic", False: "fine"}, ["toxic", "fine"]),
        (["True", "False"], ["True", "False"], ["True", "False"]),
        (["ENTAILMENT", "neutral"], {"ENTAILMENT": "entailment", "neutral": "neutral"}, ["entailment", "neutral"]),
        (["a", "b", "c"], {"a": "x", "b": "y", "c": "x"}, ["x", "y", "x"]),
    ],
)
def test_labels_are_what_they_say(tmp_path, values, labels, expected):
    assert read(parquet(tmp_path, values, labels=labels))["label"].tolist() == expected


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["neutral", "hidden"], "'hidden'"),
        ([0, -1], "'0', '-1'"),
        ([0, 3], "'0', '3'"),
        ([0, 0.5], "'0.0', '0.5'"),
        (["0", "neutral"], "'0'"),
        (["neutral", None], "row 2: ''"),
        ([True, False], "'true', 'false'"),
    ],
)
def test_unknown_labels_are_shown_with_their_rows(tmp_path, values, shown):
    with pytest.raises(UserError, match=r"column 'y', rows? [12].* none of the labels entailment, neutral") as raised:
        read(parquet(tmp_path, values, labels=NLI))
    message = str(raised.value)
    assert shown in message
    assert "`drop_labels: [" in message or "`labels: {0: entailment" in message


def test_numbers_are_no_positions_unless_the_study_says_so(tmp_path):
    with pytest.raises(UserError) as raised:
        read(parquet(tmp_path, [0, 1, 2, 0], labels=NLI))
    message = str(raised.value)
    assert "rows 1, 2, 3, 4: '0', '1', '2' are none of the labels entailment, neutral, contradiction" in message
    assert "`labels: {0: entailment, 1: neutral, 2: contradiction}`" in message


@pytest.mark.parametrize("value", ["Entailment", "ENTAILMENT", "entailment "])
def test_another_case_is_a_mistake_with_its_remedy(tmp_path, value):
    with pytest.raises(UserError, match="another case or spacing") as raised:
        read(parquet(tmp_path, [value, "neutral"], labels=NLI))
    remedy = str(raised.value).rpartition("`labels: ")[2].rstrip("`")
    labels = yaml.safe_load(remedy)
    assert labels == {value: "entailment", "neutral": "neutral", "contradiction": "contradiction"}
    assert read(parquet(tmp_path, [value, "neutral"], labels=labels))["label"].tolist() == ["entailment", "neutral"]


def test_rows_without_a_gold_label_are_left_out_on_purpose_and_counted(tmp_path, capsys):
    values = ["neutral", "-", "entailment", "-", ""]
    with pytest.raises(UserError, match="rows 2, 4, 5: '-', '' are none"):
        read(parquet(tmp_path, values, labels=NLI))
    capsys.readouterr()
    table = read(parquet(tmp_path, values, labels=NLI, drop_labels=["-", None]))
    assert table["label"].tolist() == ["neutral", "entailment"]
    assert table["text"].tolist() == ["text 0", "text 2"] and table.index.tolist() == [0, 2]
    assert "3 of 5 rows left out, labeled '-', ''" in capsys.readouterr().err
    scores = read(parquet(tmp_path, [0.5, -1.0, 2.0], drop_labels=[-1]))
    assert scores["label"].tolist() == [0.5, 2.0] and scores.index.tolist() == [0, 2]
    with pytest.raises(UserError, match="leaves no row"):
        read(parquet(tmp_path, ["-", "-"], labels=NLI, drop_labels=["-"]))


def test_rows_keep_their_number_over_several_files(reference):
    reference("sentence,score\nb,-\nc,x\n", name="two")
    one = reference("sentence,score\na,y\nd,-\n", name="one", labels=["x", "y"], drop_labels=["-"])
    table = read(one | {"file": ["one.csv", "two.csv"]})
    assert table["text"].tolist() == ["a", "c"] and table.index.tolist() == [0, 3]


@pytest.mark.parametrize(
    "written", ["", "NA", "null", "None", "nan", "007", "1.50", "1e3", "True", " x ", '"', "'", ";"]
)
@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_words_of_other_languages_stay_texts(reference, tmp_path, format, written):
    rows = [{"sentence": f"{written}a", "b": written or "-", "score": "1"}, {"sentence": "b", "b": "c", "score": "2"}]
    stream = io.StringIO()
    if format == "parquet":
        pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    elif format == "jsonl":
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        writer = csv.writer(stream, delimiter="," if format == "csv" else "\t")
        writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    quoting = {"quoting": True} if format == "tsv" else {}
    keys = {"columns": {"text": "sentence", "text_pair": "b", "label": "score"}} | quoting
    if format == "parquet":
        ref = {"path": str(tmp_path), "file": "t.parquet", "format": format} | keys
    else:
        ref = reference(stream.getvalue(), format, **keys)
    table = read(ref)
    assert table["text"].tolist() == [f"{written}a", "b"] and table["text_pair"].tolist() == [written or "-", "c"]


def test_numbers_of_json_lines_are_texts_as_they_are_written(reference):
    content = '{"sentence": 1.50, "score": 1}\n{"sentence": 12345678901234567890, "score": 2.0}\n'
    assert read(reference(content, "jsonl"))["text"].tolist() == ["1.50", "12345678901234567890"]


PLAIN = "sentence,score\nGröße,1\nb,2\n"


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (PLAIN.encode("utf-8-sig"), {}),
        (PLAIN.encode("utf-8-sig"), {"encoding": "utf-8-sig"}),
        (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
        (PLAIN.encode("utf-16"), {"encoding": "utf-16-le"}),
        (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (PLAIN.encode("cp1252"), {"encoding": "cp1252"}),
        (PLAIN.replace("\n", "\r\n").encode(), {}),
        (PLAIN.replace("\n", "\r").encode(), {}),
        (PLAIN.replace("\n", "\r").rstrip().encode(), {}),
        ((PLAIN + "\n\r\n").encode(), {}),
        (PLAIN.rstrip().encode(), {}),
        (PLAIN.replace(",", ";").encode(), {"separator": ";"}),
        (PLAIN.replace(",", "\t").encode(), {"separator": "\t"}),
        (gzip.compress(PLAIN.encode()), {}),
        (PLAIN.encode(), {"columns": {"text": 0, "label": 1}}),
        (PLAIN.replace("score", "score,").replace("1", "1,").replace("2", "2,").encode(), {}),
    ],
)
def test_csv_as_programs_write_it(reference, content, keys):
    table = read(reference(content, **keys))
    assert table["text"].tolist() == ["Größe", "b"] and table["label"].tolist() == [1.0, 2.0]


def test_quoted_line_breaks_and_long_fields(reference):
    texts = ["one\ntwo", "one\r\ntwo", "a\rb", 'say ""x""', "word " * 100_000]
    rows = "".join(f'"{text}",1\r\n' for text in texts)
    read_texts = read(reference(f"sentence,score\r\n{rows}"))["text"].tolist()
    assert read_texts == [text.replace('""', '"') for text in texts]


def test_many_bad_lines_are_counted(reference):
    content = "sentence,score\n" + "".join(f"a{n},x\n" for n in range(30))
    listed = ", ".join(str(n) for n in range(2, 22))
    with pytest.raises(UserError, match=f"lines {listed} and 10 more: 'x' is not a number"):
        read(reference(content))


def test_all_kinds_of_fault_of_a_file_come_together(reference):
    content = 'sentence,score\n"  ",1\nb,high\n\u200b\u200e,2\n'
    with pytest.raises(TableError) as raised:
        read(reference(content))
    assert [each.key for each in raised.value.faults] == ["columns.text", "columns.label"]
    assert "lines 2, 4: the text is empty" in str(raised.value) and "line 3: 'high'" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "keys", "message"),
    [
        ("sentence,score\na,1\nb,high\n", {}, r"'score', line 3: 'high' is not a number.*labels: \["),
        ("sentence,score\na,\n", {}, "line 2: '' is not a number"),
        ("sentence,score\na,inf\n", {}, "'inf' is not a number"),
        ("sentence,score\na,1_0\n", {}, "'1_0' is not a number"),
        ("sentence,score\na,1e999\n", {}, "'1e999' is not a number; fix the rows"),
        ("sentence;score\na;1,5\n", {"separator": ";"}, "'1,5' is not a number; write a decimal point"),
        ("sentence,score\na,1\n,2\n", {}, "'sentence', line 3: the text is empty"),
        ("sentence,score\n'  ',1\n   ,1\n", {}, "line 3: the text is empty"),
        ("text,score\na,1\n", {}, "no column 'sentence' for text; the columns are text, score"),
        ("sentences,score\na,1\n", {}, "did you mean 'sentences'"),
        ("2020,score\na,1\n", {"columns": {"text": 2020}}, "no column '2020' for text; put the name in quotes"),
        ("a,b\nc,d\n", {"header": False, "columns": {"text": 2}}, "no column '2' for text; the columns are 0, 1"),
        ("sentence;score\na;1\n", {}, 'separated by semicolons: write `separator: ";"`'),
        ("sentence\tscore\na\t1\n", {}, r'separated by tabs: write `separator: "\\t"`'),
        ("a;1\n", {"header": False, "columns": {"text": 0, "label": 1}}, "separated by semicolons"),
        ("sentence,score\na,1,\nb,2,\n", {}, "lines 2, 3: 3 fields but the header has 2; remove the separator"),
        ("sentence,score\na,1,2\nb,1,2,3\n", {}, "lines 2, 3: 3 or 4 fields but the header has 2; enclose"),
        ("sentence,score\na,1\nb\n", {}, "line 3: 1 fields but the header has 2"),
        ("a,1\nb\n", {"header": False, "columns": {"text": 0}}, "line 2: 1 fields but the first row has 2"),
        ("sentence,score\na,1\n\n\nb,2\n", {}, "lines 3, 4: blank between rows"),
        ("sentence,score\r\r\na,1\r\r\nb,2\r\r\n", {}, "lines 2, 4: blank between rows"),
        ('sentence,score\n"a,1\nb,2\n', {}, "line 2: a quote that opens here is never closed"),
        ('sentence,score\n"a",1\n"b"c,2\n', {}, "line 3: the quotes are wrong"),
        ('sentence,score\n"a\nb",1\n"b"c,2\n', {}, "line 4: the quotes are wrong"),
        ("sentence\na\rb\nc\n", {"columns": {"text": "sentence"}}, "carriage return alone"),
        ("sentence,score,score\na,1,2\n", {}, "more than one column 'score'"),
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        (b"\xef\xbb\xbf", {}, "is empty"),
        ("sentence,score\n", {}, "has no rows"),
        (b"sentence,score\n\xe9t\xe9,1\nb,2\n\xe9,3", {}, r"encoding utf-8 \(lines 2, 4\); .*`encoding`"),
        (b"sentence,score\n\x81,1\n", {"encoding": "cp1252"}, r"encoding cp1252 \(line 2\)"),
        ("sentence,score\na,1\n".encode("utf-16"), {}, "byte-order mark of utf-16.*`encoding: utf-16`"),
        ("sentence,score\na,1\n".encode("utf-16-le"), {}, "line 1: NUL characters"),
        (b"\xef\xbb\xbfsentence,score\na,1\n", {"encoding": "latin-1"}, "mark of utf-8.*`encoding: utf-8`"),
        (b"PK\x03\x04rest", {}, "a zip archive or a spreadsheet"),
        (b"PAR1rest", {}, "is a Parquet file; write `format: parquet`"),
        (b"version https://git-lfs.github.com/spec/v1\n", {}, "git lfs pull"),
        (gzip.compress(b"sentence,score\n" + b"a,1\n" * 99)[:-9], {}, "cannot be read as csv .*whole"),
        (gzip.compress(b"sentence,score\n" + b"a,1\n" * 99)[:-4] + b"wxyz", {}, "cannot be read as csv"),
        ("sentence,score\na,1\n", {"format": "parquet"}, "cannot be read as parquet"),
        ("sentence,score\na,1\n", {"format": "jsonl"}, "cannot be read as jsonl, lines 1, 2: no JSON"),
        ("sentence,score\na,1\n", {"file": "s.csv"}, "no file 's.csv' in the download; did you mean 't.csv'"),
    ],
)
def test_mistakes_say_what_and_where(reference, content, keys, message):
    with pytest.raises(UserError, match=message):
        read(reference(content) | keys)


GOOD = '{"sentence": "a", "score": 1}'


@pytest.mark.parametrize(
    ("lines", "keys", "message"),
    [
        ([GOOD, "[1]", '"x"', GOOD, "3", "null"], {}, "jsonl, lines 2, 3, 5, 6: a list, not an object; a text, not"),
        ([GOOD, '{"sentence": '], {}, "line 2: no JSON"),
        (["[", GOOD, "]"], {}, r"lines 1, 3: no JSON .*; write one JSON object on each line: `jq -c '.\[\]'` makes"),
        ([GOOD, '{"sentence": "a", "score": NaN}'], {}, "line 2: NaN is no JSON; write null"),
        ([GOOD, '{"sentence": "a", "sentence": "b"}'], {}, "line 2: the key 'sentence' is there twice"),
        ([GOOD, "[" * 100_000], {}, "line 2: nested too deeply"),
        ([GOOD, "", GOOD], {}, "line 2: blank between rows"),
        ([GOOD, '{"sentence": ["He", "is"], "score": 1}'], {}, "'sentence', line 2: the text is a list"),
        ([GOOD, '{"sentence": {"en": "He"}, "score": 1}'], {}, "'sentence', line 2: the text is an object"),
        ([GOOD, '{"sentence": null, "score": 1}', '{"score": 1}'], {}, "lines 2, 3: the text is null or missing"),
        ([GOOD, '{"sentence": true, "score": 1}'], {}, "line 2: the text is true or false"),
        ([GOOD, '{"sentence": "\\ud800", "score": 1}'], {}, "line 2: the text is half a character"),
        ([GOOD, '{"sentence": "a", "score": true}'], {}, "line 2: 'true' is not a number"),
        ([GOOD, '{"sentence": "a", "score": [1]}'], {}, "line 2: 'a list' is not a number"),
        ([GOOD, '{"sentence": "a"}'], {}, "line 2: '' is not a number"),
        ([GOOD, '{"sentence": "a", "score": ["x"]}'], {"labels": [1, "x"]}, "line 2: 'a list' is none of the labels"),
        ([GOOD], {"columns": {"text": "sentense"}}, "no column 'sentense' for text; did you mean 'sentence'"),
        ([GOOD], {"columns": {"text": 0}}, "JSON lines have no column 0"),
        ([], {}, "has no rows"),
    ],
)
def test_mistakes_in_json_lines(reference, lines, keys, message):
    with pytest.raises(UserError, match=message):
        read(reference("\n".join(lines), "jsonl") | keys)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([["a"], ["b"]], "rows 1, 2: the text is a list"),
        ([{"a": 1}, {"a": 2}], "the text is an object"),
        ([b"a", b"b"], "the text is of type binary"),
        (["a", None], "row 2: the text is null or missing"),
        ([1.5, 2.0], "the text is a number with decimals"),
        ([True, False], "the text is true or false"),
        ([date(2020, 1, 1)] * 2, "the text is of type date"),
    ],
)
def test_parquet_columns_that_are_no_texts(tmp_path, values, message):
    pq.write_table(pa.table({"t": values}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=message):
        read({"path": str(tmp_path), "file": "t.parquet", "format": "parquet", "columns": {"text": "t"}})


def test_parquet_types_that_are_texts(tmp_path):
    table = pa.table(
        {
            "large": pa.array(["NA", "b"], pa.large_string()),
            "dictionary": pa.array(["x", "null"]).dictionary_encode(),
            "whole": pa.array([7, -8], pa.int16()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    for column in table.column_names:
        ref = {"path": str(tmp_path), "file": "t.parquet", "format": "parquet", "columns": {"text": column}}
        expected = [str(each) for each in table.column(column).to_pylist()]
        assert read(ref)["text"].tolist() == expected


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_parquet_file_cut_short(tmp_path, share):
    whole = parquet(tmp_path, ["neutral"] * 500, labels=NLI)
    path = tmp_path / "t.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"t.parquet cannot be read as parquet .* whole"):
        read(whole)


def test_parquet_with_two_columns_of_one_name_or_no_rows(tmp_path):
    ref = {"path": str(tmp_path), "file": "t.parquet", "format": "parquet", "columns": {"text": "t"}}
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["t", "t"]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="more than one column 't'"):
        read(ref)
    pq.write_table(pa.table({"t": pa.array([], pa.string())}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="has no rows"):
        read(ref)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"encoding": "latin-one"}, "no text encoding 'latin-one'"),
        ({"encoding": "base64"}, "no text encoding 'base64'"),
        ({"separator": ";;"}, "a separator is one character"),
        ({"separator": '"'}, "a separator is one character"),
        ({"format": "jsonl", "separator": ";"}, "`separator` is for csv and tsv"),
        ({"format": "parquet", "header": False}, "`header` is for csv and tsv"),
        ({"columns": {"text": True}}, "YAML reads yes, no"),
        ({"columns": {"text": -1}}, "greater than or equal to 0"),
        ({"file": []}, "an empty list"),
        ({"file": "../t.csv"}, "leads out of its folder"),
        ({"file": ["t.csv", "t.csv"]}, "named twice"),
        ({"columns": {"text": "a", "text_pair": "a"}}, "are both the column 'a'"),
        ({"labels": ["a", "A"]}, "the same but for case"),
        ({"labels": ["a", "a"]}, "the same but for case"),
        ({"labels": {"x": "a", "y": "A"}}, "the same but for case"),
        ({"labels": ["a", None]}, "a label has no name"),
        ({"labels": []}, "a label has no name"),
        ({"labels": [["a"]]}, "is no label"),
        ({"labels": {0: "a", "0": "b"}}, "two keys of `labels` say the same"),
        ({"labels": ["-", "a"], "drop_labels": ["-"]}, "under `labels` and `drop_labels`"),
        ({"columns": {"text": "t"}, "drop_labels": ["-"]}, "needs a column for label"),
    ],
)
def test_settings_that_make_no_sense(keys, message):
    with pytest.raises(ValueError, match=message):
        TableReference(**{"path": ".", "file": "t", "format": "csv", "columns": {"text": "t", "label": "y"}} | keys)


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz"])
def test_a_packed_table_that_is_far_too_large_is_refused(reference, tmp_path, monkeypatch, packed):
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[packed]
    (tmp_path / f"t.csv.{packed}").write_bytes(pack(b"sentence,score\n" + b"a,1\n" * 20_000))
    made = reference("", file=f"t.csv.{packed}")
    assert len(read(made)) == 20_000
    monkeypatch.setattr("fairshrink.data.text_files.MOST_PACKED", (20_000, 1))
    with pytest.raises(TableError, match="unpacks to far more than a table has"):
        read(made)
