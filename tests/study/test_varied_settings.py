"""A list of values for a setting of a metric: one entry for each, named by it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from fairshrink.planning import studies
from fairshrink.study.mistakes import StudyError

ROOT = Path(__file__).parents[2]
BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
BASE["validity"] = str(ROOT / BASE["validity"])
STEREOSET = next(each for each in BASE["metrics"] if each["metric"] == "stereoset")


def load(tmp_path, **changes):
    study = copy.deepcopy(BASE)
    study["metrics"] = [{"metric": "task_score"}, STEREOSET | changes]
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study))  # its keys in alphabetical order
    return studies.load(str(file))


def entries(study):
    return {each.name: each.settings for each in study.metrics if each.metric == "stereoset"}


def test_each_value_is_an_entry_with_a_name_that_says_it(tmp_path):
    found = entries(load(tmp_path, seed=[0, 1, 2], part=["intrasentence", "intersentence"]))
    assert {name: (each.seed, each.part) for name, each in found.items()} == {
        f"stereoset_part_{part}_seed_{seed}": (seed, part)
        for seed in (0, 1, 2)
        for part in ("intrasentence", "intersentence")
    }
    assert {each.sample for each in found.values()} == {STEREOSET["sample"]}


def test_a_list_of_one_value_is_the_value(tmp_path):
    assert entries(load(tmp_path, seed=[3])) == entries(load(tmp_path, seed=3))


@pytest.mark.parametrize(
    ("values", "reason"),
    [([], "an empty list"), ([1, 1], "twice"), ([0, -1], "greater than or equal to 0"), ([0, "x"], "is text")],
)
def test_lists_with_faults_are_mistakes_of_their_key(tmp_path, values, reason):
    with pytest.raises(StudyError) as caught:
        load(tmp_path, seed=values)
    (mistake,) = caught.value.mistakes
    assert mistake.key == "metrics[1].seed"
    assert reason in mistake.reason
