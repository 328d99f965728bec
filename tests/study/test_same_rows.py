"""What is trained on is not tested on, and no contents count twice: said before anything is fetched."""

import copy

import pytest
import yaml
from tiny_study import study, write_data

from fairshrink.planning.studies import load
from fairshrink.study.mistakes import StudyError

SHA, COMMIT = "a" * 64, "b" * 40
DATA = next(number for number, each in enumerate(study()["metrics"]) if "data" in each)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    write_data(path / "local", models=())
    reviews = (path / "local/reviews.csv").read_bytes()
    (path / "local/copy.csv").write_bytes(reviews)
    (path / "local/other.csv").write_bytes(reviews + b"Another one.,1\r\n")
    (path / "local/both").mkdir()
    for name in ("a.csv", "b.csv"):
        (path / "local/both" / name).write_bytes(reviews)
    return path


def found(folder, change) -> dict[str, tuple[str, str]]:
    content = copy.deepcopy(study())
    change(content)
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    try:
        load(folder / "config.yaml")
    except StudyError as error:
        return {each.key: (each.reason, each.remedy) for each in error.mistakes}
    return {}


def with_test(content, download: str, file: str, settings: dict | None = None) -> None:
    train = content["tasks"]["sentiment"]["train"]
    if settings is not None:
        content["downloads"][download] = settings
    content["tasks"]["sentiment"]["test"] = {"own": {**train, "download": download, "file": file}}


def local(path: str) -> dict:
    return {"source": "local", "path": f"local/{path}"}


def url(address: str, **more) -> dict:
    return {"source": "url", "url": address, "sha256": SHA, **more}


def hub(revision: str = COMMIT, files: str = "*") -> dict:
    return {"source": "hub", "repo": "a/b", "repo_type": "dataset", "revision": revision, "files": [files]}


SAME = {
    "the same file": lambda c: with_test(c, "reviews", "./reviews.csv"),
    "the same bytes under another name": lambda c: with_test(c, "copied", "copy.csv", local("copy.csv")),
}


@pytest.mark.parametrize("name", SAME)
def test_rows_of_training_are_no_test(folder, name):
    reason, remedy = found(folder, SAME[name])["tasks.sentiment.test.own.download"]
    assert "rows of `tasks.sentiment.train` too" in reason and "held out" in remedy


def test_another_file_is_a_test(folder):
    assert found(folder, lambda c: with_test(c, "other", "other.csv", local("other.csv"))) == {}


@pytest.mark.parametrize(
    ("first", "second", "files", "same"),
    [
        (url("https://a.org/x.csv"), url("https://b.org/y.csv"), ("x.csv", "y.csv"), True),
        (url("https://a.org/x.zip", members=["*"]), url("https://a.org/x.zip", members=["a*"]), ("a", "a"), True),
        (url("https://a.org/x.zip", members=["*"]), url("https://a.org/x.zip", members=["*"]), ("a", "b"), False),
        (hub(), hub(files="train*"), ("train.csv", "train.csv"), True),
        (hub(), hub(revision="c" * 40), ("train.csv", "train.csv"), False),
    ],
)
def test_pins_say_what_is_the_same(folder, first, second, files, same):
    def change(content):
        content["downloads"] |= {"first": first, "second": second}
        train = content["tasks"]["sentiment"]["train"]
        train |= {"download": "first", "file": files[0]}
        with_test(content, "second", files[1])

    assert ("tasks.sentiment.test.own.download" in found(folder, change)) == same


def test_splits_of_one_data_set_are_told_apart_by_name(folder):
    def change(content, split):
        source = {"source": "hub_dataset", "repo": "a/b", "revision": COMMIT}
        content["downloads"] |= {"first": source, "second": {**source, "splits": [split]}}
        columns = content["tasks"]["sentiment"]["train"]["columns"]
        content["tasks"]["sentiment"] |= {
            "train": {"download": "first", "split": "train", "columns": columns},
            "test": {"own": {"download": "second", "split": split, "columns": columns}},
        }

    assert "tasks.sentiment.test.own.download" in found(folder, lambda c: change(c, "train"))
    assert "tasks.sentiment.test.own.download" not in found(folder, lambda c: change(c, "test"))


def test_a_dose_is_not_of_rows_that_are_with_test(folder):
    def change(content):
        with_test(content, "other", "other.csv", local("other.csv"))
        table = content["tasks"]["sentiment"]["test"]["own"]
        content["doses"] = [{"name": "stated", "task": "sentiment", "amounts": [1], "table": table}]

    assert "rows of `doses.stated.table` too" in found(folder, change)["tasks.sentiment.test.own.download"][0]


@pytest.mark.parametrize("place", ["train", "test.own", "data"])
def test_no_contents_are_named_twice(folder, place):
    def change(content):
        content["downloads"]["both"] = local("both")
        two = {"download": "both", "file": ["a.csv", "b.csv"]}
        if place == "train":
            content["tasks"]["sentiment"]["train"] |= two
        elif place == "test.own":
            content["tasks"]["sentiment"]["test"] = {"own": content["tasks"]["sentiment"]["train"] | two}
        else:
            content["metrics"][DATA]["data"]["items"] = two

    wrong = found(folder, change)
    (key,) = [key for key, (reason, _) in wrong.items() if "have the same contents" in reason]
    assert place in key and key.endswith(".file")


@pytest.mark.parametrize("files", [["pairs.csv", "./pairs.csv"], ["word_lists", "word_lists/nouns"], [".", "a"]])
def test_data_of_a_metric_are_named_once(folder, files):
    wrong = found(
        folder, lambda c: c["metrics"][DATA].update(data={"items": {"download": "benchmarks", "file": files}})
    )
    ((key, (reason, _)),) = wrong.items()
    assert key.endswith("data.items.file") and ("named twice" in reason or "named too" in reason)
