"""Items and origins of cells against the score tables themselves."""

from __future__ import annotations

import html
from pathlib import Path

import pandas as pd
import pytest
import synthetic_study

from fairshrink.analysis import study
from fairshrink.reporting import captions
from fairshrink.reporting.answer import answer
from fairshrink.reporting.outputs import outputs
from fairshrink.reporting.report import sources


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return synthetic_study.write(tmp_path_factory.mktemp("study"), splits=2, n=60)


def test_items_are_those_that_changed_most_on_each_split(spec):
    job = synthetic_study.job(spec)
    found = sources.telling_items(job, synthetic_study.MODULES)
    identities = {each.key: each for each in job.checkpoints}
    paths = {(each.checkpoint, each.entry): each.path for each in job.scores}
    assert found
    for (model, task, method, setting, metric), table in found.items():
        assert metric in ("stereotypes", "sentiment_gap")
        for split, shown in table.groupby("split"):
            (one,) = [
                each
                for each in identities.values()
                if (each.identity.model, each.identity.task, each.identity.split) == (model, task, split)
                and (each.identity.method, each.identity.setting) == (method, setting)
            ]
            after = pd.read_parquet(paths[one.key, metric]).set_index("item")["gap"]
            before = pd.read_parquet(paths[one.baseline_key, metric]).set_index("item")["gap"]
            change = (after - before).abs().sort_values(ascending=False)
            assert list(shown["item"]) == list(change.index[: sources.MOST_ITEMS])
            assert list(shown["value"]) == list(after[shown["item"]])
            assert list(shown["baseline"]) == list(before[shown["item"]])


def test_each_compressed_bias_cell_has_items_and_no_other(spec):
    job = synthetic_study.job(spec)
    cells = study.analyze(job, synthetic_study.MODULES).cells
    bias = cells[cells["kind"].isin(["intrinsic", "extrinsic"]) & ~cells["control"] & (cells["method"] != "none")]
    names = [bias[each].fillna("") for each in ("model", "task", "method", "setting", "metric")]
    assert set(zip(*names, strict=True)) == set(sources.telling_items(job, synthetic_study.MODULES))


def test_checkpoints_name_where_they_are_and_what_was_scored(spec):
    job = synthetic_study.job(spec)
    found = sources.checkpoints(job)
    assert [each["key"] for each in found] == [each.key for each in job.checkpoints]
    assert all(set(each["scores"]) == set(synthetic_study.MODULES) for each in found)
    assert all(pd.read_parquet(path).shape[0] == 60 for path in found[0]["scores"].values())


def test_a_study_ends_with_its_report(spec, tmp_path):
    job = synthetic_study.job(spec)
    synthetic_study.aggregate(spec, tmp_path)
    made = {each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*") if each.is_file()}
    assert made == set(outputs(job.checkpoints, job.scores)) and "report.html" in made
    cells = pd.read_parquet(tmp_path / "tables" / "cells.parquet")
    text = html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert answer(cells)[0] in text
    assert all(each.key in text for each in job.checkpoints)


def test_every_caption_belongs_to_a_file(tmp_path):
    dosed = (*synthetic_study.CELLS, synthetic_study.Cell("dose", "controls", "stereotype=50"))
    job = synthetic_study.job(synthetic_study.write(tmp_path, splits=1, cells=dosed))
    names = outputs(job.checkpoints, job.scores)
    rules = Path(__file__).parents[2] / "rules"
    for ending in captions.CATEGORIES:
        (first, *_) = [name for name in names if name.endswith(ending)]
        assert (rules / captions.labels(first)["caption"]).is_file()
    used = {f"{caption}.rst" for _, caption in captions.CATEGORIES.values()} | {"workflow.rst"}
    assert used == {each.name for each in (rules.parent / "report").iterdir()}
