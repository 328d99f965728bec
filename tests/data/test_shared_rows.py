"""Rows that are trained on and tested on are counted; a test of nothing else is refused."""

import random

import pandas as pd
import pytest

from fairshrink.data.faults import TableError
from fairshrink.data.shared_rows import described, shared_rows


def part(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["text", "text_pair", "label"][: len(rows[0])])


def test_counts_are_those_of_a_comparison_one_by_one():
    draw = random.Random(4)
    for _ in range(50):
        parts = {
            name: part(*((draw.choice("abcdef"), draw.choice("xyz"), draw.random()) for _ in range(draw.randint(1, 9))))
            for name in ("train", "dev", "test", "test_a")
        }
        trained = set(zip(parts["train"]["text"], parts["train"]["text_pair"], strict=True))
        expected = {}
        for name in ("dev", "test", "test_a"):
            both = sum(pair in trained for pair in zip(parts[name]["text"], parts[name]["text_pair"], strict=True))
            if both:
                expected[name] = [both, len(parts[name])]
        if expected.get("test_a", [0, 1])[0] == len(parts["test_a"]):
            with pytest.raises(TableError, match=r"tasks\.t\.test\.a: the texts of all its"):
                shared_rows(parts, "t")
        else:
            assert shared_rows(parts, "t") == expected


def test_a_pair_is_the_same_only_as_a_whole_and_labels_do_not_count():
    parts = {"train": part(("a", "b", 1)), "test_x": part(("b", "a", 1), ("ab", "", 1), ("a", "b", 0))}
    assert shared_rows(parts, "t") == {"test_x": [1, 3]}
    assert described({"test_x": [1, 3]}, "t").startswith("task t: 1 of 3 rows of test x have")


def test_a_table_with_repeated_rows_may_be_divided():
    assert shared_rows({"train": part(("a",)), "test": part(("a",))}, "t") == {"test": [1, 1]}
