"""Splits of a data set are read as they were made: compared with Python values, and with the file read as a file."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairshrink.data.examples import label_names
from fairshrink.data.faults import TableError
from fairshrink.data.splits import INDEX
from fairshrink.data.table import TableReference
from fairshrink.data.tables import read

NAMES = ["entailment", "neutral", "contradiction"]
TEXTS = ["He is kind.", "NA", "007", "é", "語", "null", " x", 'It\'s,\n"so".', "1.50", "?", "..."]
COLUMNS = {"text": "premise", "text_pair": "hypothesis", "label": "label"}


def made(folder, columns, classes=None, files=1, group=3):
    """A download with one split of these columns, in several files."""
    folder = folder / "data" / "set-0123456789abcdef"
    (folder / "d").mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    size = -(-len(table) // files)
    names = [f"d/train-{number}.parquet" for number in range(files)]
    for number, name in enumerate(names):
        pq.write_table(table.slice(number * size, size), folder / name, row_group_size=group)
    (folder / INDEX).write_text(json.dumps({"splits": {"train": names}, "classes": classes or {}}))
    return folder


def reference(folder, columns=COLUMNS, **keys):
    return TableReference(path=str(folder), split="train", columns=columns, **keys)


def refused(ref) -> str:
    with pytest.raises(TableError) as raised:
        read(ref)
    return str(raised.value)


@pytest.mark.parametrize("seed", range(10))
def test_rows_are_those_that_were_written(tmp_path, seed):
    draw = random.Random(seed)
    n = draw.randint(1, 40)
    first, second = ([draw.choice(TEXTS) for _ in range(n)] for _ in range(2))
    dropped = draw.random() < 0.5
    codes = [draw.choice([0, 1, 2] + [-1] * dropped) for _ in range(n)] + [1]
    first, second = [*first, "x"], [*second, "y"]
    kind = draw.choice([pa.int64(), pa.int8()])
    columns = {"idx": range(n + 1), "hypothesis": second, "label": pa.array(codes, kind), "premise": first}
    files = draw.randint(1, 3)
    folder = made(tmp_path, columns, {"label": NAMES}, files)
    keys = {"drop_labels": [-1]} if dropped else {}
    kept = [row for row, code in enumerate(codes) if code >= 0]
    wanted = {
        "text": [first[row] for row in kept],
        "text_pair": [second[row] for row in kept],
        "label": [NAMES[codes[row]] for row in kept],
    }
    for labels in (None, NAMES, NAMES[::-1]):
        found = read(reference(folder, named=True, labels=labels, **keys))
        assert found.to_dict("list") == wanted and found.index.tolist() == kept
    if files == 1:
        by_number = {"labels": dict(enumerate(NAMES)), "file": "d/train-0.parquet", "format": "parquet"}
        other = read(TableReference(path=str(folder), columns=COLUMNS, **by_number, **keys))
        assert found.to_dict("list") == other.to_dict("list") and found.index.tolist() == other.index.tolist()
        assert found.dtypes.to_dict() == other.dtypes.to_dict()


def test_numbers_and_names_without_classes(tmp_path):
    scores = [0.5, 5.0, 2.25]
    folder = made(tmp_path, {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": scores})
    assert read(reference(folder)).label.tolist() == scores
    folder = made(tmp_path, {"premise": ["a", "b", "c"], "hypothesis": [1, 2, 30], "label": ["yes", "-", "no"]})
    found = read(reference(folder, labels={"yes": "true", "no": "false"}, drop_labels=["-"], named=True))
    assert found.to_dict("list") == {"text": ["a", "c"], "text_pair": ["1", "30"], "label": ["true", "false"]}
    assert found.index.tolist() == [0, 2]


def test_rows_without_a_gold_label_are_counted_and_refused(tmp_path, capsys):
    columns = {"premise": list("abcd"), "hypothesis": list("efgh"), "label": [0, -1, 2, -1]}
    folder = made(tmp_path, columns, {"label": NAMES})
    for labels in (None, NAMES):
        said = refused(reference(folder, named=True, labels=labels))
        assert "rows 2, 4: '-1' is none of the labels entailment, neutral, contradiction" in said
        assert "`drop_labels: ['-1']`" in said
    read(reference(folder, named=True, drop_labels=["-1"]))
    assert "2 of 4 rows left out, labeled '-1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "keys", "message"),
    [
        ({}, {"labels": ["entails", "neutral"]}, "has the classes entailment, neutral, contradiction, and no entails"),
        ({}, {"labels": ["entailment", "neutral"]}, "row 3: 'contradiction' is none of the labels"),
        ({}, {"labels": ["Entailment", *NAMES[1:]]}, "and no Entailment"),
        ({}, {"named": False}, "has the classes entailment, neutral, contradiction, no numbers"),
        ({"label": [0, 1, 3]}, {}, "row 3: '3' is none of the labels"),
        ({"label": [0, None, 1]}, {}, "row 2: '' is none of the labels"),
        ({"label": [[0], [1], [2]]}, {}, "has lists or objects"),
        ({"premise": ["a", "", None]}, {}, "row 2: the text is empty"),
        ({"premise": ["a", "", None]}, {}, "row 3: the text is null or missing"),
        ({"premise": [["a"], ["b"], ["c"]]}, {}, "rows 1, 2, 3: the text is a list"),
        ({"premise": [0.5, 1.0, 2.0]}, {}, "the text is a number with decimals"),
        ({"premise": [True, False, True]}, {}, "the text is true or false"),
        ({}, {"columns": COLUMNS | {"text": "sentence"}}, "no column 'sentence' for text"),
        ({}, {"drop_labels": NAMES}, "leaves no row"),
    ],
)
def test_what_is_no_table_is_refused_with_rows(tmp_path, columns, keys, message):
    good = {"premise": list("abc"), "hypothesis": list("def"), "label": [0, 1, 2]}
    folder = made(tmp_path, good | columns, {"label": NAMES})
    assert message in refused(reference(folder, **{"named": True} | keys))


def test_damaged_and_missing_files(tmp_path):
    folder = made(tmp_path, {"premise": list("abc"), "hypothesis": list("def"), "label": [0, 1, 2]}, {"label": NAMES})
    with pytest.raises(TableError, match=r"no split 'trian'; did you mean 'train'\?"):
        read(TableReference(path=str(folder), split="trian", columns=COLUMNS))
    file = folder / "d/train-0.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    assert "split train cannot be read" in refused(reference(folder, named=True))
    file.unlink()
    assert "there is no file 'd/train-0.parquet'" in refused(reference(folder, named=True))
    (folder / INDEX).unlink()
    assert "has no splits" in refused(reference(folder, named=True))


def test_another_set_of_the_same_name_is_not_taken_from_the_mapped_files(tmp_path):
    good = {"premise": list("abc"), "hypothesis": list("def"), "label": [0, 1, 2]}
    assert read(reference(made(tmp_path, good, {"label": NAMES}), named=True)).text.tolist() == list("abc")
    changed = made(tmp_path, good | {"premise": list("xyz")}, {"label": NAMES})
    assert read(reference(changed, named=True)).text.tolist() == list("xyz")


def test_names_of_classes_are_compared_before_training(tmp_path):
    from task_case import task_of

    columns = {"premise": list("abc"), "hypothesis": list("def"), "label": [0, 1, 2]}
    one = made(tmp_path / "one", columns, {"label": NAMES})
    other = made(tmp_path / "other", columns, {"label": ["entailment", "unrelated", "contradiction"]})
    keys = {"columns": COLUMNS, "split": "train", "named": True}
    train = {"path": str(one), **keys}
    assert label_names(task_of("classification", train=train)) == tuple(NAMES)
    assert label_names(task_of("classification", train=train | {"drop_labels": ["neutral"]})) == (NAMES[0], NAMES[2])
    with pytest.raises(TableError, match="its labels unrelated are none of those trained"):
        label_names(task_of("classification", train=train, tests={"other": {"path": str(other), **keys}}))


HOLDING = """
import sys
from fairshrink.data.table import TableReference
from fairshrink.data.tables import read
def held():
    return {line.split(":")[0]: int(line.split()[1]) for line in open("/proc/self/status") if "Rss" in line}["RssAnon"]
columns = {"text": "premise", "text_pair": "hypothesis", "label": "label"}
large, small = (TableReference(path=each, split="train", columns=columns, named=True) for each in sys.argv[1:])
read(small)  # with all that is imported for it
before = held()
frame = read(large)
print(len(frame), held() - before, sum(map(len, frame["text"].iloc[:10])))
"""


def test_texts_are_not_held_in_memory(tmp_path):
    """Of 40 MB of texts, mapped before by another process, next to nothing is in the memory of the one that reads."""
    n, text = 40_000, "a word and another " * 26
    columns = {"premise": [f"{text}{i}" for i in range(n)], "hypothesis": [f"{text}{i}." for i in range(n)]}
    folder = made(tmp_path, columns | {"label": [i % 3 for i in range(n)]}, {"label": NAMES}, group=n // 4)
    assert len(read(reference(folder, named=True))) == n
    few = made(tmp_path / "few", {"premise": ["a"], "hypothesis": ["b"], "label": [0]}, {"label": NAMES})
    command = [sys.executable, "-c", HOLDING, str(folder), str(few)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, kilobytes, length = map(int, done.stdout.split())
    assert rows == n and length == sum(len(each) for each in columns["premise"][:10])
    assert kilobytes < 15_000, f"{kilobytes} kB of 40,000"
