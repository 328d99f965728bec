"""Trainings that are interrupted, against the same training left alone: the bits must be the same."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from safetensors import safe_open

from fairshrink import registry
from fairshrink.data.table import TableReference
from fairshrink.models import checkpoint as checkpoints
from fairshrink.planning import plan_files
from fairshrink.planning.plan import Job, Order, Plan
from fairshrink.stages import finetune
from fairshrink.store import artifacts
from fairshrink.study.jobs import FinetuneJob, Identity, PretrainedModel, TaskOnSplit
from fairshrink.training import fit, termination
from fairshrink.training import state as training_state
from fairshrink.training.state import TrainingState

ROOT = Path(__file__).parents[2]
FRAME = pd.DataFrame(
    {
        "text": [text for text in tiny.SENTENCES for _ in range(3)],
        "label": np.linspace(-2, 2, 3 * len(tiny.SENTENCES)),
    }
)
STEPS = 8  # 2 epochs of 30 rows in batches of 8


class PowerCutError(Exception):
    """Stands for the end of the process."""


def quiet(message):
    pass


def start(folder, kind="regression", make=tiny.tiny_bert, **config):
    """The same untrained model at every call."""
    head = registry.load("tasks", kind).HEAD
    path = folder / "-".join(["start", kind, make.__name__, *map(str, config.values())])
    return checkpoints.load(path if path.exists() else make(head, path, **config))


def train(cp, kind="regression", log=quiet, settings=None, **steps):
    """All of it in one go, or what ``steps`` leave of it; returns the weights and AdamW's moments by name."""
    module = registry.load("tasks", kind)
    chosen = module.Settings(
        **{"batch_size": 8, "epochs": 2, "learning_rate": 1e-3, "max_length": 32, **(settings or {})}
    )
    frame = (
        FRAME.assign(label=[tiny.LABELS[row % 3] for row in range(len(FRAME))]) if kind == "classification" else FRAME
    )
    optimizer = fit.fit(cp, module.loss(cp, frame, chosen), chosen, 1, log, **steps)
    everything = dict(cp.model.state_dict())
    for name, parameter in cp.model.named_parameters():
        everything |= {f"{name}.{kind}": value for kind, value in optimizer.state.get(parameter, {}).items()}
    return {name: value.clone() for name, value in everything.items()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].contiguous().numpy().tobytes() == value.contiguous().numpy().tobytes(), name


def kept(folder, identity="k", every_s=0.0, log=quiet):
    return TrainingState(folder / "state", identity, log, every_s)


def interrupt(cp, at, state, **more):
    """Train until so many steps are done, then die."""

    def on_step(done):
        if done == at:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        train(cp, state=state, on_step=on_step, **more)


def steps_kept(folder):
    with safe_open(folder / "state" / training_state.FILE, framework="pt") as file:
        return int(file.metadata()["done"])


@pytest.mark.parametrize("at", [1, 3, 4, STEPS - 1, STEPS])
def test_resumed_training_equals_an_uninterrupted_one(at, tmp_path):
    undisturbed = start(tmp_path)
    assert {m.p for m in undisturbed.model.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}
    expected = train(undisturbed)
    interrupt(start(tmp_path), at, kept(tmp_path))
    resumed, lines, seen = start(tmp_path), [], []
    torch.rand(5)  # the next process draws other numbers
    found = train(resumed, log=lines.append, state=kept(tmp_path), on_step=seen.append)
    assert lines[0] == f"resuming at step {at} of {STEPS}"
    assert seen == list(range(at, STEPS + 1))
    assert_same_bits(found, expected)


@pytest.mark.parametrize(
    ("kind", "make", "settings"),
    [
        ("masked_lm", tiny.tiny_bert, {}),
        ("masked_lm", tiny.tiny_roberta, {"frozen_embeddings": True}),
        ("classification", tiny.tiny_roberta, {"weight_decay": 0.1}),
        ("regression", tiny.tiny_bert, {"precision": "bf16"}),
    ],
)
def test_resuming_twice_for_every_kind_of_training(kind, make, settings, tmp_path):
    how = {"kind": kind, "settings": settings}
    expected = train(start(tmp_path, kind, make), **how)
    interrupt(start(tmp_path, kind, make), 2, kept(tmp_path), **how)
    interrupt(start(tmp_path, kind, make), 5, kept(tmp_path), **how)
    assert_same_bits(train(start(tmp_path, kind, make), state=kept(tmp_path), **how), expected)


def test_masked_weights_stay_zero_through_an_interruption(tmp_path):
    name = "bert.encoder.layer.0.output.dense.weight"
    masks = {name: torch.eye(32, 48) == 0}
    expected = train(start(tmp_path), masks=masks)
    interrupt(start(tmp_path), 3, kept(tmp_path), masks=masks)
    found = train(start(tmp_path), state=kept(tmp_path), masks=masks)
    assert_same_bits(found, expected)
    assert not found[name][~masks[name]].any()


def test_buffers_that_training_changes_and_parameters_without_a_gradient_are_saved_too(tmp_path):
    class Counting(torch.nn.Module):
        """``idle`` takes no part; ``seen`` is in no state dict; ``wide`` cannot be written to; ``part`` is a view."""

        def __init__(self):
            super().__init__()
            self.weight, self.idle = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))
            self.register_buffer("seen", torch.zeros(3), persistent=False)
            self.register_buffer("wide", torch.arange(3).expand(4, 3))
            self.register_buffer("part", self.seen[:2])

    def stepped(module, optimizer, n):
        for _ in range(n):
            module.seen += module.weight.detach()
            optimizer.zero_grad()
            (module.weight * module.seen).square().sum().backward()
            optimizer.step()

    def new():
        module = Counting()
        return module, torch.optim.AdamW(module.parameters(), lr=0.1, fused=True)

    whole, parts, later = new(), new(), new()
    stepped(*whole, 5)
    stepped(*parts, 2)
    assert kept(tmp_path).save(2, 5, *parts)
    assert kept(tmp_path).load(*later, 5) == 2
    stepped(*later, 3)
    assert torch.equal(later[0].weight, whole[0].weight)
    assert torch.equal(later[0].seen, whole[0].seen)
    assert later[0].idle not in later[1].state


def test_state_is_saved_at_the_given_interval(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(training_state, "time", clock)
    state, saved = kept(tmp_path, every_s=250.0), []
    whole_save = state.save
    monkeypatch.setattr(state, "save", lambda done, *rest: saved.append(done) or whole_save(done, *rest))

    def on_step(done):
        clock.now += 100.0

    train(start(tmp_path), state=state, on_step=on_step)
    assert saved == [3, 6]
    assert steps_kept(tmp_path) == 6


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1000])


def emptied(path):
    path.write_bytes(b"")


def no_safetensors(path):
    path.write_bytes(pickle.dumps({"done": 3}))


def one_bit_flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def steps_miscounted(path):
    content = path.read_bytes()
    assert content.count(b'"done":"3"') == 1
    path.write_bytes(content.replace(b'"done":"3"', b'"done":"4"'))


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [cut_off, emptied, no_safetensors, one_bit_flipped, steps_miscounted, a_folder], ids=lambda f: f.__name__
)
def test_a_damaged_state_is_reported_and_not_used(damage, tmp_path):
    interrupt(start(tmp_path), 3, kept(tmp_path))
    damage(tmp_path / "state" / training_state.FILE)
    assert_refused(tmp_path, kept(tmp_path, every_s=1e9, log=(lines := []).append), lines)


def another_artifact(folder):
    interrupt(start(folder), 3, kept(folder, identity="other"))


def another_length(folder):
    interrupt(start(folder), 3, kept(folder), settings={"epochs": 3})


def another_width(folder):
    interrupt(start(folder, intermediate_size=40), 3, kept(folder))


def another_depth(folder):
    interrupt(start(folder, num_hidden_layers=3), 3, kept(folder))


def fewer_trained(folder):
    interrupt(start(folder), 3, kept(folder), settings={"frozen_embeddings": True})


@pytest.mark.parametrize(
    "other", [another_artifact, another_length, another_width, another_depth, fewer_trained], ids=lambda f: f.__name__
)
def test_the_state_of_another_training_is_reported_and_not_used(other, tmp_path):
    other(tmp_path)
    assert steps_kept(tmp_path) == 3
    assert_refused(tmp_path, kept(tmp_path, every_s=1e9, log=(lines := []).append), lines)


def assert_refused(folder, state, lines):
    seen = []
    found = train(start(folder), state=state, on_step=seen.append)
    assert seen == list(range(STEPS + 1))
    (line,) = lines
    assert str(state.path) in line
    assert "not used" in line
    assert "\n" not in line
    assert_same_bits(found, train(start(folder)))


def test_a_process_that_dies_while_saving_leaves_the_previous_state(tmp_path, monkeypatch):
    write = training_state._write

    def write_half(tensors, path, about):
        if about["done"] == "5":
            path.write_bytes(b"half")
            raise PowerCutError
        write(tensors, path, about)

    monkeypatch.setattr(training_state, "_write", write_half)
    with pytest.raises(PowerCutError):
        train(start(tmp_path), state=kept(tmp_path))
    monkeypatch.undo()
    assert steps_kept(tmp_path) == 4
    assert_same_bits(train(start(tmp_path), state=kept(tmp_path)), train(start(tmp_path)))


def test_two_processes_with_one_folder_do_not_harm_each_other(tmp_path, monkeypatch):
    """The other one saves, or finishes and clears, at the worst moment: between writing and renaming."""
    cp = start(tmp_path)
    optimizer = torch.optim.AdamW(cp.model.parameters())
    lines = []
    mine, other = kept(tmp_path, log=lines.append), kept(tmp_path)
    write, meanwhile = training_state._write, []

    def overtaken(tensors, path, about):
        write(tensors, path, about)
        if about["done"] == "5":
            monkeypatch.setattr(training_state, "_write", write)
            meanwhile.pop()()

    monkeypatch.setattr(training_state, "_write", overtaken)
    meanwhile.append(lambda: other.save(2, STEPS, cp.model, optimizer))
    assert mine.save(5, STEPS, cp.model, optimizer)
    assert steps_kept(tmp_path) == 5

    monkeypatch.setattr(training_state, "_write", overtaken)
    meanwhile.append(other.clear)
    assert not mine.save(5, STEPS, cp.model, optimizer)
    assert len(lines) == 1
    assert mine.save(6, STEPS, cp.model, optimizer)
    assert steps_kept(tmp_path) == 6
    assert [each.name for each in (tmp_path / "state").iterdir()] == [training_state.FILE]
    mine.clear()
    other.clear()
    assert not (tmp_path / "state").exists()


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch):
    def full(tensors, path, about):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(training_state, "_write", full)
    found = train(start(tmp_path), state=kept(tmp_path, log=(lines := []).append))
    (line,) = lines
    assert os.strerror(errno.ENOSPC) in line
    assert list((tmp_path / "state").iterdir()) == []
    assert_same_bits(found, train(start(tmp_path)))


def test_a_state_too_large_to_be_written_leaves_the_previous_one(tmp_path):
    """The file system's own refusal, which safetensors does not report as an OSError."""
    cp = start(tmp_path)
    optimizer = torch.optim.AdamW(cp.model.parameters())
    state = kept(tmp_path, log=(lines := []).append)
    assert state.save(1, STEPS, cp.model, optimizer)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        assert [state.save(done, STEPS, cp.model, optimizer) for done in (2, 3)] == [False, False]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(lines) == 1
    assert steps_kept(tmp_path) == 1
    assert state.save(4, STEPS, cp.model, optimizer)
    assert [each.name for each in (tmp_path / "state").iterdir()] == [training_state.FILE]


@pytest.mark.parametrize("at", [1, 3, STEPS - 1])
def test_on_termination_the_state_of_the_current_step_is_saved(at, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    lines = []

    def on_step(done):
        if done == at:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        train(start(tmp_path), state=kept(tmp_path, every_s=1e9), log=lines.append, on_step=on_step)
    assert ended.value.code == 143
    assert "resume" in lines[-1]
    assert signal.getsignal(signal.SIGTERM) == before
    assert steps_kept(tmp_path) == at + 1
    assert_same_bits(train(start(tmp_path), state=kept(tmp_path)), train(start(tmp_path)))


def test_termination_with_a_full_disk_is_reported(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(training_state, "_write", full)
    lines = []

    def on_step(done):
        if done == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        train(start(tmp_path), state=kept(tmp_path), log=lines.append, on_step=on_step)
    assert ended.value.code == 143
    assert "could not be saved" in lines[-1]


def test_a_training_outside_the_main_thread_keeps_its_state_too(tmp_path):
    found = {}
    thread = threading.Thread(target=lambda: found.update(train(start(tmp_path), state=kept(tmp_path))))
    thread.start()
    thread.join()
    assert_same_bits(found, train(start(tmp_path)))
    assert steps_kept(tmp_path) == STEPS


def test_a_termination_request_that_came_too_late_goes_to_the_previous_handler():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with termination.recorded() as asked:
            assert not asked()
            signal.raise_signal(signal.SIGTERM)
            assert asked()
            assert received == []
        assert received == [signal.SIGTERM]
        with pytest.raises(PowerCutError), termination.recorded():
            raise PowerCutError
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("part", [{"start_step": 2}, {"stop_step": 2}])
def test_a_part_of_a_training_has_no_state(part, tmp_path):
    with pytest.raises(ValueError, match="whole training"):
        train(start(tmp_path), state=kept(tmp_path), **part)


def job(folder, place="results"):
    """A baseline as the plan describes it: 40 rows, 32 of them to train on, 8 steps."""
    if not (folder / "model").exists():
        tiny.tiny_bert("regression", folder / "model")
        texts = [text for text in tiny.SENTENCES for _ in range(4)]
        pd.DataFrame({"text": texts, "label": np.linspace(-2, 2, len(texts))}).to_csv(folder / "t.csv", index=False)
    table = {"path": str(folder), "file": "t.csv", "format": "csv", "columns": {"text": "text", "label": "label"}}
    settings = {"batch_size": 8, "epochs": 2, "learning_rate": 1e-3, "max_length": 32}
    named = Identity("m", "encoder", "t", 0, 3, "none", "baseline", "", 0.0)
    task = TaskOnSplit("t", "regression", settings, 0, 3, TableReference(**table))
    source = PretrainedModel(str(folder / "model"), None, "float32", "regression", ())
    recipe = artifacts.Recipe(
        "finetune", "m-t-s0", "0123456789ab", str(folder / place / "m-t-s0-0123456789ab"), {"code": {}}
    )
    return Order(recipe, FinetuneJob(source, task, named))


def planned(folder, order):
    """The plan file of one job, for a process of its own."""
    alone = Job("baseline", "finetune", "baseline", (), (), (order,))
    return plan_files.write(Plan("study", 1, "cpu", 1.0, (alone,), "published", "results", ()), folder / "plans")


def undisturbed_files(folder):
    described = job(folder, "undisturbed")
    finetune.run([described])
    return artifacts.read_provenance(Path(described.recipe.path))["files"]


def test_the_stage_leaves_a_complete_artifact_and_no_state(tmp_path, monkeypatch):
    described = job(tmp_path)
    path = Path(described.recipe.path)
    state = path.parent / f".{path.name}.training" / training_state.FILE
    existed = []
    monkeypatch.setattr(finetune, "log", lambda line: existed.append(state.exists()))
    finetune.run([described], save_minutes=1e-9)
    assert existed[-1]
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    record = artifacts.read_provenance(path)
    assert record["key"] == described.recipe.key
    assert record["files"] == artifacts.file_digests(path) == undisturbed_files(tmp_path)
    assert {"config.json", "model-attention.safetensors", "checkpoint.json"} <= record["files"].keys()
    assert record["ledger"]


def test_leftovers_of_a_killed_process_are_removed_if_the_artifact_exists(tmp_path):
    described = job(tmp_path)
    path = Path(described.recipe.path)
    finetune.run([described])
    left = path.parent / f".{path.name}.training"
    left.mkdir()
    (left / ".state.safetensors.01234567.part").write_bytes(b"half")
    finetune.run([described])
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_stage_that_fails_keeps_the_state(tmp_path, monkeypatch):
    described = job(tmp_path)
    path = Path(described.recipe.path)

    def fail(*_):
        raise PowerCutError

    monkeypatch.setattr(finetune.checkpoints, "save", fail)
    with pytest.raises(PowerCutError):
        finetune.run([described], save_minutes=1e-9)
    monkeypatch.undo()
    assert [each.name for each in path.parent.iterdir()] == [f".{path.name}.training"]
    lines = []
    monkeypatch.setattr(finetune, "log", lines.append)
    finetune.run([described])
    assert f"resuming at step {STEPS} of {STEPS}" in lines
    assert artifacts.read_provenance(path)["files"] == undisturbed_files(tmp_path)


PROGRAM = """
import sys
from pathlib import Path
import tiny
from fairshrink.planning import plan_files
from fairshrink.stages import finetune

def log(line):
    print(line, flush=True)
    if line.startswith("step 4/"):
        print("waiting", flush=True)
        sys.stdin.readline()

finetune.log = log
finetune.run(plan_files.read_job(Path(sys.argv[1]), "baseline").artifacts, save_minutes=float(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("number", "save_minutes", "done"), [(signal.SIGKILL, 1e-9, 3), (signal.SIGTERM, 1e9, 4)], ids=["kill", "terminate"]
)
def test_a_terminated_process_is_resumed_by_the_next(number, save_minutes, done, tmp_path, monkeypatch):
    described = job(tmp_path)
    path = Path(described.recipe.path)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(planned(tmp_path, described)), str(save_minutes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/helpers'}"},
    )
    try:
        assert any(line == "waiting\n" for line in process.stdout)
        process.send_signal(number)
        said, _ = process.communicate("go on\n", timeout=600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not artifacts.exists(path)
    hidden = f".{path.name}.training"
    if number == signal.SIGTERM:
        assert f"stopped after step {done} of {STEPS} on request" in said
        assert [each.name for each in path.parent.iterdir()] == [hidden]
    lines = []
    monkeypatch.setattr(finetune, "log", lines.append)
    finetune.run([described])
    assert f"resuming at step {done} of {STEPS}" in lines[:2]  # after what is shared by training and test
    assert not (path.parent / hidden).exists()
    assert artifacts.read_provenance(path)["files"] == undisturbed_files(tmp_path)
