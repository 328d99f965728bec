"""Settings with which items were scored go with them, in every format: with others a summary is another number."""

import json

import numpy as np
import pandas as pd
import pytest

import fairshrink
from fairshrink.errors import UserError
from fairshrink.judging import writing
from fairshrink.judging.tables import Options, read
from fairshrink.metrics.honest import metric as honest


def honest_items(n=24, seed=0):
    """Of each template 10 completions, of which some are in a category of the lexicon."""
    draw = np.random.default_rng(seed)
    hits = draw.integers(0, 4, n)
    rows = pd.DataFrame({"item": [f"i{at:02d}" for at in range(n)], "group": ["women", "men"] * (n // 2)})
    rows = rows.assign(cluster=rows["item"], template=[f"t{at % 6}" for at in range(n)], skipped="", tied=False)
    return rows.assign(hurtful=hits / 10, random_hurtful=0.05, categories=[" ".join(["asm"] * each) for each in hits])


def path_of(folder, form, name="items"):
    return folder / f"{name}-{form}{writing.ENDINGS[form]}"


@pytest.mark.parametrize("form", writing.ENDINGS)
def test_they_come_back_and_the_numbers_are_those_that_were_printed(tmp_path, form):
    items, settings = honest_items(), {"count": 10}
    path = path_of(tmp_path, form)
    writing.write(items, "honest", settings, "model", path, form)
    table = read(path, Options("honest"))
    assert table.settings == settings and "fairshrink_settings" not in table.items

    def values(rows, chosen):
        return {(s.name, s.group): s.value(len(rows)) for s in honest.summarize(rows, honest.Settings(**chosen))}

    expected = values(items, settings)
    assert values(table.items, table.settings) == pytest.approx(expected)
    assert expected["category_share", "asm"] != pytest.approx(values(items, {})["category_share", "asm"])
    # What is stated at the call holds.
    assert read(path, Options("honest", settings={"count": 12})).settings == {"count": 12}


@pytest.mark.parametrize("form", writing.ENDINGS)
def test_the_defaults_leave_no_column(tmp_path, form):
    path = path_of(tmp_path, form)
    writing.write(honest_items(), "honest", honest.Settings().model_dump(mode="json"), "model", path, form)
    assert "fairshrink_settings" not in path.read_bytes().decode("utf-8", "replace")
    assert read(path, Options("honest")).settings == {}


def test_logs_of_different_settings_are_not_compared(tmp_path):
    for name, settings in (("base", {"count": 10}), ("small", {}), ("drawn", {"count": 10, "seed": 3, "sample": 24})):
        writing.write(honest_items(), "honest", settings, name, tmp_path / f"{name}.csv", "csv")
    with pytest.raises(UserError, match=r"honest: base and small were scored with different settings \(count: 10 and"):
        fairshrink.judge(tmp_path / "base.csv", tmp_path / "small.csv", metric="honest")
    found = fairshrink.judge(tmp_path / "base.csv", tmp_path / "drawn.csv", metric="honest")
    shares = found.results.query("statistic == 'category_share'")
    mean = honest_items()["hurtful"].mean()
    assert shares["value"].to_numpy() == pytest.approx(np.full(len(shares), mean))


@pytest.mark.parametrize("written", ["{", "[1]", json.dumps({"count": "many"}), json.dumps({"nothing": 1})])
def test_settings_that_are_none_are_said(tmp_path, written):
    items = honest_items().assign(fairshrink_settings=written)
    items.to_csv(tmp_path / "odd.csv", index=False)
    with pytest.raises(UserError, match=r"settings|count|nothing"):
        read(tmp_path / "odd.csv", Options("honest"))
    items.loc[0, "fairshrink_settings"] = '{"count": 10}'
    items.to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(UserError, match="one JSON object"):
        read(tmp_path / "two.csv", Options("honest"))


def test_items_that_are_read_are_summarized_with_them(tmp_path):
    writing.write(honest_items(), "honest", {"count": 10}, "model", tmp_path / "log.jsonl", "lm-eval")
    items = fairshrink.read_items(tmp_path / "log.jsonl", metric="honest")
    found = fairshrink.summarize(items, "honest").set_index(["statistic", "group"])["value"]
    assert found["category_share", "asm"] == pytest.approx(honest_items()["hurtful"].mean())
    other = fairshrink.summarize(items, "honest", settings={"count": 20}).set_index(["statistic", "group"])["value"]
    assert other["category_share", "asm"] == pytest.approx(honest_items()["hurtful"].mean() / 2)
