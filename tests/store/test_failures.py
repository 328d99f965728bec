"""What fails in a job does not take its neighbors with it, and is named at the end and later."""

import errno

import pytest

from fairshrink.errors import UserError
from fairshrink.store import artifacts, failures


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def recipe(name):
    return artifacts.Recipe("compress", name, f"key{name}", f"results/compressed/{name}-key{name}", {})


def job(fills):
    """A job that makes one artifact for each: a function that fills its folder."""
    made = {name: recipe(name) for name in fills}
    with failures.collected(len(fills)) as failed:
        for name, fill in fills.items():
            with failed.noted([made[name]]):
                artifacts.make(made[name], fill)


def raising(error):
    def fill(folder):
        raise error

    return fill


def here(name) -> bool:
    return artifacts.exists(artifacts.Path(recipe(name).path))


def test_the_others_are_made_and_those_that_failed_are_named(capsys):
    fills = {"a": raising(ValueError("one\nbad matrix")), "b": lambda folder: {}, "c": raising(UserError("no GPU"))}
    with pytest.raises(UserError, match="2 of the 3 artifacts of this job failed, 1 exist") as caught:
        job(fills)
    assert f"{recipe('a').path}: ValueError: one bad matrix" in str(caught.value)
    assert f"{recipe('c').path}: no GPU" in str(caught.value)
    assert [here(name) for name in "abc"] == [False, True, False]
    logged = capsys.readouterr().err
    assert "Traceback" in logged and "bad matrix" in logged  # of what is not the user's to fix, all of it
    assert [failures.reason(f"key{name}") for name in "abc"] == ["ValueError: one bad matrix", None, "no GPU"]


def test_what_is_made_later_has_not_failed():
    with pytest.raises(UserError):
        job({"a": raising(UserError("no")), "b": lambda folder: {}})
    assert failures.reason("keya") == "no"
    job({"a": lambda folder: {}, "b": lambda folder: {}})
    assert failures.reason("keya") is None and here("a")


def test_the_error_of_a_job_with_one_artifact_is_its_own():
    with pytest.raises(ValueError, match="itself"):
        job({"a": raising(ValueError("itself"))})
    assert failures.reason("keya") == "ValueError: itself"


def test_a_full_disk_ends_the_job():
    with pytest.raises(UserError, match="no space left"):
        job({"a": raising(OSError(errno.ENOSPC, "No space left on device")), "b": lambda folder: {}})
    assert not here("b")


def test_an_end_of_the_process_is_no_failure():
    with pytest.raises(SystemExit):
        job({"a": raising(SystemExit(143)), "b": lambda folder: {}})
    assert failures.reason("keya") is None


def test_what_failed_inside_is_not_forgotten_outside():
    with (
        pytest.raises(UserError, match="1 of the 2"),
        failures.collected(2) as failed,
        failed.noted([recipe("a"), recipe("b")]),
    ):
        with failed.noted([recipe("a")]):
            raise UserError("no")
        with failed.noted([recipe("b")]):
            artifacts.make(recipe("b"), lambda folder: {})
    assert failures.reason("keya") == "no"
