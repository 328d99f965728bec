"""What DVC records while the tables are made, and what is left for the end of the run."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fairshrink.planning.recording_ahead import Recorder

INPUTS = ("scores/a/record.json", "scores/b/record.json")
COMPUTED = ["base", "scores/a", "scores/b", "tables"]
PATHS = ("restored", *COMPUTED)


class Dvc:
    """Keeps the calls; records what is computed, and of the rest what it has not recorded before."""

    def __init__(self, failures=0):
        self.calls, self.failures = [], failures

    def __call__(self, paths, computed):
        self.calls.append((set(paths), set(computed)))
        if self.failures:
            self.failures -= 1
            raise OSError("no space left on device")
        return sorted(computed)


def plan(inputs=INPUTS):
    tables = SimpleNamespace(inputs=inputs)
    return SimpleNamespace(paths=PATHS, computed=COMPUTED, published="tables", of=lambda stage: [tables])


def make(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_rest_is_recorded_when_all_inputs_of_the_tables_are_there_and_the_tables_at_the_end():
    dvc = Dvc()
    recorder = Recorder(plan(), dvc, wait=0.01)
    recorder.start()
    make(INPUTS[1])
    time.sleep(0.1)
    assert dvc.calls == []
    make(INPUTS[0])
    wait_for(lambda: dvc.calls)
    assert dvc.calls == [({"restored", "base", "scores/a", "scores/b"}, {"base", "scores/a", "scores/b"})]
    assert recorder.finish() == set(COMPUTED)
    assert dvc.calls[1:] == [(set(PATHS), {"tables"})]


@pytest.mark.parametrize("inputs", [INPUTS, ()])
def test_a_run_that_ends_before_or_has_no_tables_to_make_records_all_at_its_end(inputs):
    dvc = Dvc()
    recorder = Recorder(plan(inputs), dvc, wait=0.01)
    recorder.start()
    assert recorder.finish() == set(COMPUTED)
    assert dvc.calls == [(set(PATHS), set(COMPUTED))]


def test_what_could_not_be_recorded_ahead_is_recorded_at_the_end():
    dvc = Dvc(failures=1)
    recorder = Recorder(plan(), dvc, wait=0.01)
    make(*INPUTS)
    recorder.start()
    wait_for(lambda: dvc.calls)
    assert recorder.finish() == set(COMPUTED)
    assert dvc.calls[1:] == [(set(PATHS), set(COMPUTED))]
