"""Every row of the tables has a checkpoint of its own, and the same under two names is a mistake before any job."""

import copy

import pytest
import yaml
from tiny_study import study, write_data

from fairshrink.planning import grid
from fairshrink.planning.studies import load
from fairshrink.study.mistakes import StudyError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    write_data(path / "local", models=())
    return path


def checkpoints(folder, change=lambda content: None):
    content = copy.deepcopy(study())
    change(content)
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return grid.expand(load(folder / "config.yaml")).tables.job.checkpoints


def second_model(content, download: str) -> None:
    content["downloads"][download] = content["downloads"]["bert"]
    content["models"]["again"] = {**content["models"]["bert"], "download": download}


def second_task(content, name: str, **changed) -> None:
    content["tasks"]["again"] = {**content["tasks"][name], **changed}
    content["models"]["bert"]["tasks"].append("again")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda c: second_model(c, "bert"), "models."),
        (lambda c: second_model(c, "copy"), "models."),
        (lambda c: second_task(c, "sentiment"), "tasks."),
    ],
)
def test_the_same_under_two_names_is_a_mistake(folder, change, key):
    with pytest.raises(StudyError, match="but for its name") as caught:
        checkpoints(folder, change)
    (mistake,) = caught.value.mistakes
    assert mistake.key.startswith(key) and "again" in mistake.key + mistake.reason and "only one of" in mistake.remedy


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (lambda c: second_task(c, "sentiment", epochs=2), True),
        (lambda c: second_task(c, "similarity"), True),
        (lambda c: c["compressions"][0].update(sparsity=[0.5, 0.5000001]), False),
        (lambda c: None, False),
    ],
)
def test_what_differs_has_a_row_of_its_own(folder, change, more):
    found = checkpoints(folder, change)
    assert len({each.key for each in found}) == len(found) == len({each.identity for each in found})
    settings = {each.identity.setting for each in found if each.identity.method == "magnitude_global"}
    assert len(settings) == 2 and (len(found) > len(checkpoints(folder))) == more


def test_models_of_one_download_that_differ_are_two(folder):
    def smaller(content):
        second_model(content, "bert")
        content["models"]["again"]["dtype"] = "bfloat16"

    found = checkpoints(folder, smaller)
    assert len({each.key for each in found}) == len(found)
