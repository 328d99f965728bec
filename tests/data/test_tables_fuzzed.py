"""Tables made at random are read as they were made, and damaged ones are refused with file and line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import random
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairshrink.data.faults import TableError
from fairshrink.data.table import TableReference
from fairshrink.data.tables import read

TABLES, BATCHES = 300, 12
WORDS = [
    "NA",
    "null",
    "None",
    "nan",
    "007",
    "1.50",
    "-1",
    "true",
    "False",
    "",
    " ",
    "0",
    "1",
    "1e5",
    "#N/A",
    "-",
    "inf",
]
SIGNS = [",", ";", "\t", "|", '"', '""', "'", "\\", "\n", "\r\n", "\r", " ", "  ", "\u00a0", "\u2028", "\x85", "\u200b"]
LETTERS = ["a", "Z", "ß", "é", "Ω", "я", "語", "🙂", "e\u0301", ".", "{", "[", "#", "=", "\ufeff"]
LABELS = {
    "numbers": [0.5, -1.0, 3.0, 2e-3, 7.0],
    "names": ["yes", "No", "n/a", "NA", "null", "Ünsure"],
    "whole": [0, 1, 2],
    "truth": [True, False],
}


@dataclass
class Made:
    """A table as Python values, how it was written, and what reading it shall give."""

    names: list[str]
    rows: list[list]
    chosen: dict[str, str]
    keys: dict
    labels: list | None
    kept: list[int]


def text(draw: random.Random) -> str:
    pieces = draw.choices([draw.choice(WORDS), draw.choice(SIGNS), draw.choice(LETTERS)], k=draw.randint(0, 6))
    return "".join(pieces)


def made(draw: random.Random, format: str) -> Made:
    names: list[str] = []
    for wanted in range(draw.randint(1, 5)):
        names.append(
            draw.choice(["text", "label", "", "index", "a b", "Größe", "0"]) + (str(wanted) if wanted else "x")
        )
    free = draw.sample(names, len(names))
    chosen = {"text": free.pop()}
    if free and draw.random() < 0.6:
        chosen["label"] = free.pop()
    if free and draw.random() < 0.5:
        chosen["text_pair"] = free.pop()
    kind = draw.choice([each for each in LABELS if each != "truth" or format in ("jsonl", "parquet")])
    rows = []
    for _ in range(draw.randint(1, 12)):
        row = []
        for name in names:
            role = next((role for role, column in chosen.items() if column == name), None)
            row.append(draw.choice(LABELS[kind]) if role == "label" else text(draw) + ("x" if role else ""))
        rows.append(row)
    keys: dict = {"format": format, "columns": chosen}
    kept, labels = list(range(len(rows))), None
    if "label" in chosen:
        values = [row[names.index(chosen["label"])] for row in rows]
        said = {value: str(value).lower() if isinstance(value, bool) else str(value) for value in LABELS[kind]}
        if kind != "numbers":
            order = draw.sample(LABELS[kind], len(LABELS[kind]))
            dropped = order.pop() if draw.random() < 0.4 and any(value != order[-1] for value in values) else None
            keys["labels"] = {value: f"class {said[value]}" for value in order} if draw.random() < 0.5 else order
            if dropped is not None:
                keys["drop_labels"] = [dropped]
            kept = [number for number, value in enumerate(values) if value != dropped or dropped is None]
            named = isinstance(keys["labels"], dict)
            labels = [f"class {said[values[number]]}" if named else said[values[number]] for number in kept]
        else:
            labels = values
    return Made(names, rows, chosen, keys, labels, kept)


def written(draw: random.Random, table: Made) -> list[str]:
    """The header, if any, and each row as text."""
    if table.keys["format"] == "jsonl":
        ascii_only, end = draw.random() < 0.5, draw.choice(["\n", "\r\n"])
        return [
            json.dumps(dict(zip(table.names, row, strict=True)), ensure_ascii=ascii_only) + end for row in table.rows
        ]
    table.keys["separator"] = draw.choice([None, ";", "\t", "|", ","])
    separator = table.keys["separator"] or {"csv": ",", "tsv": "\t"}[table.keys["format"]]
    table.keys["quoting"] = draw.random() < 0.7
    table.keys["header"] = draw.random() < 0.8
    end = draw.choice(["\n", "\r\n"])
    lines = [table.names] * table.keys["header"] + table.rows
    if not table.keys["header"]:
        table.keys["columns"] = {role: table.names.index(name) for role, name in table.chosen.items()}
    if not table.keys["quoting"]:
        # Without quotes there is no way to write these: the table has other texts then.
        clean = re.compile("[\r\n]|" + re.escape(separator))
        for row in table.rows:
            row[:] = [clean.sub("_", cell) if isinstance(cell, str) else cell for cell in row]
        if len(table.names) == 1:
            table.rows[:] = [[cell or "_" for cell in row] for row in table.rows]
        return [separator.join(map(str, row)) + end for row in lines]
    result = []
    for row in lines:
        stream = io.StringIO()
        risky = any("\r" in str(cell) for cell in row)
        style = csv.QUOTE_ALL if risky else draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        csv.writer(stream, delimiter=separator, lineterminator=end, quoting=style).writerow(row)
        result.append(stream.getvalue())
    return result


def encoded(draw: random.Random, table: Made, lines: list[str]) -> bytes:
    content = "".join(lines)
    choices = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]
    if all(ord(each) < 256 for each in content):
        choices += ["latin-1", "latin-1"]
    encoding = draw.choice(choices)
    if encoding not in ("utf-8-sig", "utf-8") or draw.random() < 0.3:
        table.keys["encoding"] = encoding
    if content.startswith("\ufeff") and encoding in ("utf-8", "utf-16-le"):
        content = "\ufeff" + content  # the first is the mark, which the other encodings write themselves
    data = content.encode(encoding)
    return gzip.compress(data) if draw.random() < 0.2 else data


def parquet(table: Made, path) -> None:
    columns = [pa.array([row[number] for row in table.rows]) for number in range(len(table.names))]
    pq.write_table(pa.Table.from_arrays(columns, names=table.names), path)


def reference(folder, table: Made) -> TableReference:
    return TableReference(path=str(folder), file="t", **table.keys)


def expected(table: Made) -> dict[str, list]:
    place = {role: table.names.index(name) for role, name in table.chosen.items()}
    result = {role: [table.rows[row][column] for row in table.kept] for role, column in place.items()}
    return result | ({"label": table.labels} if "label" in place else {})


def line_of(lines: list[str], number: int) -> int:
    return 1 + len(re.findall("\r\n|\r|\n", "".join(lines[:number])))


def test_the_generator_makes_what_it_promises():
    drawn = [made(random.Random(seed), format) for seed in range(100) for format in ("csv", "parquet")]
    cells = {cell for table in drawn for row in table.rows for cell in row if isinstance(cell, str)}
    assert any("\r\n" in cell for cell in cells) and any('"' in cell for cell in cells)
    assert sum("drop_labels" in table.keys for table in drawn) > 10
    assert sum(isinstance(table.keys.get("labels"), dict) for table in drawn) > 10


@pytest.mark.parametrize("batch", range(BATCHES))
def test_tables_are_read_as_they_were_made(tmp_path, batch):
    for seed in range(batch, TABLES, BATCHES):
        draw = random.Random(seed)
        table = made(draw, draw.choice(["csv", "csv", "tsv", "jsonl", "parquet"]))
        if table.keys["format"] == "parquet":
            parquet(table, tmp_path / "t")
        else:
            lines = written(draw, table)
            (tmp_path / "t").write_bytes(encoded(draw, table, lines))
        found = read(reference(tmp_path, table))
        assert found.to_dict("list") == expected(table), seed
        assert found.index.tolist() == table.kept, seed


def damage_of_separated(draw: random.Random, table: Made, lines: list[str]) -> tuple[int, str] | None:
    """Changes one line in place; which, and what the message must say of it."""
    first = int(table.keys["header"])
    number = draw.randrange(first, len(lines))
    separator = table.keys["separator"] or {"csv": ",", "tsv": "\t"}[table.keys["format"]]
    row = table.rows[number - first]
    end = "\r\n" if lines[number].endswith("\r\n") else "\n"
    quotes = csv.QUOTE_ALL if table.keys["quoting"] else csv.QUOTE_NONE

    def line(cells) -> str:
        stream = io.StringIO()
        writer = csv.writer(
            stream,
            delimiter=separator,
            lineterminator=end,
            quoting=quotes,
            quotechar=None if quotes == csv.QUOTE_NONE else '"',
        )
        writer.writerow(cells)
        return stream.getvalue()

    kinds = ["longer", "blank", "empty"]
    if len(row) > 1:
        kinds.append("shorter")
    if table.keys["quoting"]:
        kinds += ["unclosed", "after"]
    if table.labels is not None:
        kinds.append("label")
    kind = draw.choice(kinds)
    if kind in ("longer", "shorter") and len(table.rows) == 1 and not first:
        return None
    if kind == "shorter" and number == 0 and not first and len(row) - 1 in table.keys["columns"].values():
        return None  # the first row says how many columns there are: one that is named is missing
    if kind == "shorter" and row[:-1] == [""] and not table.keys["quoting"]:
        return None  # a field that is empty and alone cannot be written without quotes
    if kind == "longer":
        lines[number] = line([*row, ""])
        # The first row says how many there are where nothing else does.
        return (number if first or number else 1), "fields but"
    if kind == "shorter":
        lines[number] = line(row[:-1])
        return (number if first or number else 1), "fields but"
    if kind == "blank":
        if number == 0 and not first:
            return None
        lines.insert(number, end)
        return number, "blank between rows"
    place = table.names.index(table.chosen["label" if kind == "label" else "text"])
    cells = list(row)
    if kind == "label":
        cells[place] = "neither of them"
        lines[number] = line(cells)
        return number, "'neither of them' is"
    if kind == "empty":
        if number - first not in table.kept or (len(row) == 1 and not table.keys["quoting"]):
            return None
        cells[place] = ""
        lines[number] = line(cells)
        return number, "the text is empty"
    if kind == "unclosed":
        if '"' in "".join(lines[number + 1 :]):
            return None
        lines[number] = '"open' + end
        return number, "never closed"
    lines[number] = '"closed"x' + end
    return number, "quotes are wrong"


def damage_of_json(draw: random.Random, table: Made, lines: list[str]) -> tuple[int, str] | None:
    number = draw.randrange(len(lines))
    if number not in table.kept:
        return None
    row = dict(zip(table.names, table.rows[number], strict=True))
    column = table.chosen["text"]
    choices: list[tuple[str, str]] = [
        (json.dumps([row]), "a list, not an object"),
        ("null", "null or missing, not an object"),
        (json.dumps(row)[:-1], "no JSON"),
        (json.dumps(row | {column: [row[column]]}), "the text is a list"),
        (json.dumps(row | {column: {"en": row[column]}}), "the text is an object"),
        (json.dumps(row | {column: None}), "the text is null or missing"),
        (json.dumps(row | {"more": math.nan}), "NaN is no JSON"),
    ]
    changed, message = draw.choice(choices)
    lines[number] = changed + "\n"
    return number, message


@pytest.mark.parametrize("batch", range(BATCHES))
def test_damaged_tables_are_refused_with_file_and_line(tmp_path, batch):
    tried = 0
    for seed in range(batch, TABLES, BATCHES):
        draw = random.Random(1000 + seed)
        table = made(draw, draw.choice(["csv", "csv", "tsv", "jsonl", "parquet"]))
        if table.keys["format"] == "parquet":
            parquet(table, tmp_path / "t")
            data = (tmp_path / "t").read_bytes()
            (tmp_path / "t").write_bytes(data[: draw.randrange(len(data))])
            said = [str(tmp_path / "t"), "cannot be read as parquet"]
        else:
            lines = written(draw, table)
            damage = (damage_of_json if table.keys["format"] == "jsonl" else damage_of_separated)(draw, table, lines)
            if damage is None:
                continue
            number, message = damage
            said = [str(tmp_path / "t"), message, f" {line_of(lines, number)}"]
            data = encoded(draw, table, lines)
            (tmp_path / "t").write_bytes(data)
        tried += 1
        with pytest.raises(TableError) as raised:
            read(reference(tmp_path, table))
        assert all(each in str(raised.value) for each in said), (seed, said, str(raised.value))
        assert all(each.reason and each.remedy for each in raised.value.faults)
    assert tried > TABLES / BATCHES / 2


@pytest.mark.parametrize("batch", range(BATCHES))
def test_any_bytes_are_a_table_or_an_error(tmp_path, batch):
    """Random changes of bytes: whatever comes out, it is a table of the right shape or a message, never a traceback."""
    for seed in range(batch, TABLES, BATCHES):
        draw = random.Random(2000 + seed)
        table = made(draw, draw.choice(["csv", "tsv", "jsonl"]))
        data = bytearray(encoded(draw, table, written(draw, table)))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data))
            data[place : place + draw.randint(0, 3)] = bytes(
                draw.choices(b'\x00\xff",;\n\r\\[]{}\x80a', k=draw.randint(0, 3))
            )
            data = data or bytearray(b"\n")
        (tmp_path / "t").write_bytes(bytes(data))
        try:
            found = read(reference(tmp_path, table))
        except TableError as error:
            assert str(tmp_path / "t") in str(error) or "JSON lines" in str(error), seed
        else:
            assert set(found.columns) == set(table.chosen) and len(found) > 0, seed
            assert all(isinstance(each, str) and each.strip() for each in found["text"]), seed


@pytest.mark.parametrize("batch", range(BATCHES))
def test_cut_files_headers_alone_and_columns_there_twice_are_refused(tmp_path, batch):
    for seed in range(batch, TABLES, BATCHES):
        draw = random.Random(3000 + seed)
        kind = draw.choice(["cut", "no rows", "twice"])
        table = made(draw, draw.choice(["csv", "tsv", "jsonl"] if kind == "cut" else ["csv", "tsv", "parquet"]))
        chosen = table.names.index(table.chosen["text"])
        if kind == "twice":
            table.names.append(table.names[chosen])
            for row in table.rows:
                row.append(row[chosen])
        elif kind == "no rows":
            table.rows.clear()
        if table.keys["format"] == "parquet":
            parquet(table, tmp_path / "t")
        else:
            lines = written(draw, table)
            if kind != "cut" and not table.keys["header"]:
                continue
            data = "".join(lines).encode()
            if kind == "cut":
                packed = gzip.compress(data)
                data = packed[: draw.randrange(2, len(packed))]
            (tmp_path / "t").write_bytes(data)
        said = {"cut": "cannot be read as", "no rows": "has no rows", "twice": "more than one column"}[kind]
        with pytest.raises(TableError) as raised:
            read(reference(tmp_path, table))
        assert str(tmp_path / "t") in str(raised.value) and said in str(raised.value), (seed, str(raised.value))


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("values", "labels", "names"),
    [
        ([True, False], ["true", "false"], ["true", "false"]),
        ([True, False], [False, True], ["true", "false"]),
        ([True, False], {True: "yes", False: "no"}, ["yes", "no"]),
        ([1, 0], {0: "no", 1: "yes"}, ["yes", "no"]),
        ([1.0, 0.0], {0: "no", 1: "yes"}, ["yes", "no"]),
        ([1.0, 0.0], ["0.0", "1.0"], ["1.0", "0.0"]),
        (["1", "0"], [0, 1], ["1", "0"]),
        ([1, 0], ["no", "yes"], None),
        ([1.5, 0.0], {0: "no", 1: "yes"}, None),
        ([True, False], {1: "yes", 0: "no"}, None),
        (["1.0", "0.0"], {0: "no", 1: "yes"}, None),
    ],
)
def test_labels_of_any_type_are_matched_by_what_they_say(tmp_path, format, values, labels, names):
    if format == "parquet":
        pq.write_table(pa.table({"text": ["a", "b"], "label": values}), tmp_path / "t")
    else:
        rows = [{"text": text, "label": value} for text, value in zip("ab", values, strict=True)]
        (tmp_path / "t").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"text": "text", "label": "label"}
    ref = TableReference(path=str(tmp_path), file="t", format=format, columns=columns, labels=labels)
    if names is None:
        with pytest.raises(TableError, match="none of the labels"):
            read(ref)
    else:
        assert read(ref)["label"].tolist() == names
