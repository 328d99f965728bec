"""The measured effects of settings: what the table names exists, and the gallery shows the table's numbers."""

import csv
import re

import yaml
from tiny_study import ROOT

from fairshrink import registry
from fairshrink.documenting import gallery, settings_effects

FILE = ROOT / "docs" / settings_effects.FILE
ROWS = list(csv.DictReader(FILE.open(encoding="utf-8")))


def settings_of(text):
    """`name: value, name: value` as a study would have it."""
    return yaml.safe_load("{" + text + "}")


def value_of(text):
    return text.replace("⏎", "\n") if "{" in text else yaml.safe_load(text)


def test_rows_name_settings_and_values_that_metrics_have_and_none_is_the_base():
    assert ROWS
    for row in ROWS:
        module = registry.load("metrics", row["metric"])
        base = settings_of(row["base"])
        assert row["statistic"] == module.HEADLINE[0]
        assert row["model"] in settings_effects.MODELS
        if row["setting"]:
            varied = module.Settings(**(base | {row["setting"]: value_of(row["value"])}))
            assert varied != module.Settings(**base), row


def test_intervals_contain_their_numbers_and_changes_are_differences_from_the_first_row():
    first = {}
    for row in ROWS:
        place = (row["metric"], row["model"], row["base"])
        value = float(row["estimate"])
        if row["low"]:
            assert float(row["low"]) <= value <= float(row["high"])
        if not row["setting"]:
            assert place not in first and row["change"] == ""
            first[place] = value
        else:
            size = max(abs(value), abs(first[place]))
            assert abs(value - first[place] - float(row["change"])) <= 2e-3 * size + 1e-9
            assert float(row["change_low"]) <= float(row["change"]) <= float(row["change_high"])


def test_the_gallery_shows_each_row_under_its_metric():
    text = gallery.markdown(FILE.parent)
    for row in ROWS:
        (entry,) = re.findall(rf"^#+ `{row['metric']}`$(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
        number = row["estimate"].replace("-", "−")
        assert re.search(rf"\| .*{re.escape(row['value'])}.* \| {row['items']} \| {re.escape(number)}", entry)


def test_without_a_table_nothing_is_claimed(tmp_path):
    assert settings_effects.read(tmp_path) == {}
    assert "has not been measured" in gallery.markdown(tmp_path)
    assert "Measured by" not in gallery.markdown(tmp_path)
