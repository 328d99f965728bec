"""The parts of a task's tables, read once for a task and the caller's own each time."""

import dataclasses

import pandas as pd
import pytest

from fairshrink.data import examples, tables
from fairshrink.data.examples import Task, frames
from fairshrink.data.table import TableReference
from fairshrink.registry import CATALOG
from fairshrink.stages.opening import Tasks
from fairshrink.study.jobs import TaskOnSplit

ROWS = [f"text {number},{number}" for number in range(10)]


@pytest.fixture
def given(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *ROWS]), encoding="utf-8")
    columns = {"text": "text", "label": "label"}
    table = TableReference(path=str(tmp_path), file="t.csv", format="csv", columns=columns)
    return TaskOnSplit("t", "regression", {"test_share": 0.3, "dev_share": 0.2}, 0, 7, table)


@pytest.fixture
def reads(monkeypatch):
    """Every reading of a table."""
    seen, read = [], tables.read
    monkeypatch.setattr(tables, "read", lambda reference: seen.append(reference) or read(reference))
    return seen


def task(given):
    module = CATALOG.tasks[given.kind]
    return Task(given.name, given.kind, module, module.Settings(**given.settings), 0, given.seed, given.train)


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        pd.testing.assert_frame_equal(one[name], other[name])


def test_a_task_reads_its_tables_once_and_no_caller_changes_them_for_the_next(given, reads):
    once, fresh = task(given), frames(task(given))
    first = frames(once)
    for part in first.values():
        part.loc[:, "text"] = "changed"
        part["label"] += 1
        part.drop(part.index[0], inplace=True)
    same(frames(once), fresh)
    assert len(reads) == 2  # one for each task
    rows = sorted(row for part in fresh.values() for row in part["row"])
    assert rows == list(range(10))
    assert {name: len(part) for name, part in fresh.items()} == {"train": 5, "dev": 2, "test": 3}


def test_a_task_like_another_but_for_its_seed_has_parts_of_its_own(given):
    one = task(given)
    first = frames(one)
    other = dataclasses.replace(one, seed=given.seed + 1)
    assert list(frames(other)["train"]["text"]) != list(first["train"]["text"])
    same(frames(other), frames(task(dataclasses.replace(given, seed=given.seed + 1))))


def test_large_tables_are_read_anew(given, reads, monkeypatch):
    monkeypatch.setattr(examples, "HELD", 9)
    large = task(given)
    same(frames(large), frames(large))
    assert len(reads) == 2
    assert not large.held


def test_orders_in_a_row_share_a_task_and_others_have_their_own(given):
    tasks, other = Tasks(), TaskOnSplit("t", "regression", {}, 1, 8, given.train)
    again = TaskOnSplit("t", "regression", dict(given.settings), 0, 7, given.train)
    assert tasks.open(given) is tasks.open(again)
    assert tasks.open(other).seed == 8
    assert tasks.open(given).seed == 7
    assert tasks.open(None) is None
