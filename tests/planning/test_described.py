"""What a job is given is what its key says: no value of it can change without the parameters changing."""

import copy
import json

import pytest

from fairshrink.data.table import TableReference
from fairshrink.planning.described import adapter, described
from fairshrink.study.jobs import (
    AggregateJob,
    CheckpointEntry,
    CompressJob,
    ControlRecipe,
    EvaluateJob,
    FinetuneJob,
    Identity,
    PretrainedModel,
    ScoreEntry,
    TaskOnSplit,
    ValidityEntry,
)

NAMED = Identity("m", "encoder", "t", 1, 18, "random", "unstructured", "sparsity=0.5", 0.5)
MODEL = PretrainedModel("data/model-0a/folder", None, "float32", "classification", ("no", "yes"))
TABLE = TableReference(path="data/texts-0b", file="t.csv", format="csv", columns={"text": "a", "label": 1})
TASK = TaskOnSplit("t", "classification", {"name": "kept", "epochs": 2}, 1, 18, TABLE, {"other": TABLE})
JOBS = {
    "finetune": FinetuneJob(MODEL, TASK, NAMED),
    "compress": CompressJob("results/b-1", "results/b-1", MODEL, TASK, "random", {"sparsity": 0.5}, 18, NAMED, TABLE),
    "evaluate": EvaluateJob(
        "results/c-2", "results/b-1", "weat", {"tests": ["a"]}, "fp32", {"r": ("data/w-3/x",)}, TASK
    ),
    "evaluate a control": EvaluateJob(
        "results/b-1",
        "results/b-1",
        "weat",
        {"tests": ["a"]},
        "fp32",
        {"r": ("data/w-3/x",)},
        TASK,
        ControlRecipe("key", "b-noise", "noise", {"level": 0.5, "name": "kept"}, 18, TASK, NAMED),
    ),
    "aggregate": AggregateJob(
        "s",
        0.95,
        {"weat": 0.25},
        (ValidityEntry("m", "t", "weat", "passed"),),
        (CheckpointEntry("k", "n", "p", "r", "b", NAMED),),
        (ScoreEntry("p", "r", "k", "c", "e", "weat", {"seed": 1}, "d"),),
        ("tables/a",),
    ),
}
INPUTS = {"checkpoint": "results/c-2", "baseline": "results/b-1", "model": "data/model-0a", "train": "data/texts-0b"}
UNNAMED = {("identity",), ("task", "name"), ("files",)}
UNNAMED |= {("control", *place) for place in (("identity",), ("name",), ("task", "name"))}
"""Places of what only names things, and of what follows from the rest."""


def leaves(value, place=()):
    """Places of all single values."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    nested = [each for key, inner in pairs for each in leaves(inner, (*place, key))]
    return nested if isinstance(value, dict | list) else [place]


def changed(values, place):
    """A copy with another value of the same type at one place; None where a type allows no other."""
    copied = copy.deepcopy(values)
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    before = inner[place[-1]]
    choices = {"fp32": "bf16", "utf-8": "latin-1", "float32": "bfloat16", "csv": "tsv", "classification": "regression"}
    if before is None:
        return None
    inner[place[-1]] = not before if isinstance(before, bool) else choices.get(before, before * 2 + type(before)(1))
    return copied


@pytest.mark.parametrize("stage", JOBS)
def test_every_value_that_is_no_name_counts(stage):
    job, stage = JOBS[stage], stage.split()[0]
    values = adapter(stage).dump_python(job, mode="json")
    before, tried = described(stage, job, INPUTS), 0
    for place in leaves(values):
        other = changed(values, place)
        if other is None:
            continue
        tried += 1
        differs = described(stage, adapter(stage).validate_python(other), INPUTS) != before
        assert differs != any(place[: len(each)] == each for each in UNNAMED), place
    assert tried > 8


def test_paths_of_inputs_are_replaced_by_their_roles():
    found = described("evaluate", JOBS["evaluate"], INPUTS)
    assert (found["checkpoint"], found["baseline"]) == ("<checkpoint>", "<baseline>")
    assert found["task"]["train"]["path"] == found["task"]["tests"]["other"]["path"] == "<train>"
    assert found["data"] == {"r": ["data/w-3/x"]}  # no input: it is left as it is
    assert described("finetune", JOBS["finetune"], INPUTS)["model"]["path"] == "<model>/folder"
    assert described("finetune", JOBS["finetune"], {"model": "data/model-0"})["model"]["path"] == "data/model-0a/folder"


def test_paths_of_a_control_and_of_a_dose_are_replaced_too():
    found = described("evaluate", JOBS["evaluate a control"], {"checkpoint": "results/b-1"} | INPUTS)["control"]
    assert found["task"]["train"]["path"] == "<train>" and found["settings"]["name"] == "kept"
    assert described("compress", JOBS["compress"], {"dose": "data/texts-0b"})["dose"]["path"] == "<dose>"


def test_a_setting_called_name_is_a_setting():
    assert described("finetune", JOBS["finetune"], INPUTS)["task"]["settings"] == {"name": "kept", "epochs": 2}


def test_the_order_of_checkpoints_and_scores_does_not_count_in_tables():
    job = JOBS["aggregate"]
    values = adapter("aggregate").dump_python(job, mode="json")
    several = json.loads(json.dumps(values))
    for name in ("checkpoints", "scores"):
        several[name] = [values[name][0], values[name][0] | {"key": "another"}]
    turned = several | {name: several[name][::-1] for name in ("checkpoints", "scores")}
    one, other = (described("aggregate", adapter("aggregate").validate_python(each), {}) for each in (several, turned))
    assert one == other != described("aggregate", job, {})
