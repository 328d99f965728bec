"""Damage and controls through the stages, in one process: what is loaded, what is scored, where it appears."""

import dataclasses
import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import study, write_data, write_study

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.planning import grid, studies
from fairshrink.planning.plan import Order
from fairshrink.stages import aggregate, compress, download, evaluate, finetune

STAGES = {"download": download, "finetune": finetune, "compress": compress, "evaluate": evaluate}


def content():
    """A classifier and a causal language model, controls alone, the task score, damage and one metric of bias."""
    made = study()
    made["models"]["bert"]["tasks"] = ["nli"]
    made["tasks"] = {name: made["tasks"][name] for name in ("nli", "lm")}
    made["compressions"] = []
    made["controls"] = [
        {"method": "weight_noise", "level": 0.3, "control_seed": [0, 1]},
        {"method": "random_heads", "sparsity": 0.5},
        {"method": "shuffled_labels", "tasks": ["nli"]},
        {"method": "random_init", "control_seed": [0, 1]},
    ]
    wanted = {"task_score", "crows_pairs"}
    made["metrics"] = [
        {"metric": "fidelity", "texts": 3},
        *(each for each in made["metrics"] if each["metric"] in wanted),
    ]
    return made


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of the study after all stages, and how often each checkpoint was loaded to be scored."""
    folder, before, loads = tmp_path_factory.mktemp("stages"), Path.cwd(), Counter()
    write_data(folder / "local")
    write_study(folder, content())
    os.chdir(folder)
    original = checkpoints.load
    try:
        made = grid.expand(studies.load("config.yaml"))
        for stage, module in STAGES.items():
            if stage == "evaluate":
                checkpoints.load = lambda path, **options: loads.update([path.name]) or original(path, **options)
            module.run([Order(each.recipe, each.job) for each in made.values() if each.stage == stage])
        checkpoints.load = original
        aggregate.run([Order(made.tables.recipe, made.tables.job)])
        yield folder / made.tables.path / "tables", loads, made
    finally:
        checkpoints.load = original
        os.chdir(before)


def test_each_checkpoint_is_loaded_once_and_stays_while_others_are_compared_with_it(ran):
    assert len(ran[1]) == 2 + 1  # the baselines and the control that is trained; the others are made of them
    assert set(ran[1].values()) == {1}


def test_scores_have_the_same_bytes_whatever_else_their_job_scores(ran, tmp_path, monkeypatch):
    folder = ran[0].parents[3]
    for each in folder.iterdir():
        if each.name != "results":
            (tmp_path / each.name).symlink_to(each)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "baselines").symlink_to(folder / "results" / "baselines")
    (tmp_path / "results" / "compressed").symlink_to(folder / "results" / "compressed")
    monkeypatch.chdir(tmp_path)
    orders = [Order(each.recipe, each.job) for each in ran[2].values() if each.stage == "evaluate"]
    assert len({order.job.metric for order in orders}) == 3
    for order in orders:
        evaluate.run([order])
        mine = Path(order.recipe.path) / "items.parquet"
        assert mine.read_bytes() == (folder / mine).read_bytes()


def test_a_baseline_has_no_damage_and_every_control_some(ran):
    table = pd.read_parquet(ran[0] / "results.parquet")
    mine = (
        table[table["metric"] == "fidelity"].set_index(["task", "method", "setting", "statistic"])["value"].sort_index()
    )
    for task in ("nli", "lm"):
        assert (mine[task, "none", "", "mean_kl"], mine[task, "none", "", "same_top"]) == (0.0, 1.0)
        damage = mine.loc[task][:, :, "damage"].drop("none")
        assert len(damage) == (6 if task == "nli" else 5) and (damage > 1e-3).all()
        assert damage["weight_noise"].nunique() == damage["random_init"].nunique() == 2


def test_controls_are_judged_as_controls_and_damage_is_not_judged(ran):
    assert pd.read_csv(ran[0] / "verdicts.csv").empty  # of compressions, and there are none
    cells = pd.read_parquet(ran[0] / "cells.parquet")
    judged = cells[cells["verdict"].notna() & (cells["verdict"] != "")]
    assert set(judged["metric"]) == {"crows_pairs"}
    assert judged["control"].all() and set(judged["method"]) == {"weight_noise", "random_heads", "random_init"}
    overview = pd.read_csv(ran[0] / "overview_lm.csv")
    assert {"fidelity", "fidelity_low", "task_score", "crows_pairs"} <= set(overview)
    random = pd.read_parquet(ran[0] / "results.parquet").query("metric == 'fidelity' and task == 'lm'")
    of_damage = random[random["statistic"] == "damage"].set_index("method")
    expected = of_damage.loc["random_init", "value"].mean()
    assert of_damage["random_value"].to_numpy() == pytest.approx([expected] * len(of_damage))


def test_a_study_without_examples_learns_at_planning_that_damage_cannot_be_measured(tmp_path):
    made = content()
    write_data(tmp_path / "local", models=("bert",))
    made["models"] = {"bert": made["models"]["bert"] | {"tasks": ["similarity"]}}
    made["tasks"] = {"similarity": {"kind": "similarity"}}
    made["compressions"] = [{"method": "random", "sparsity": 0.1}]
    made["controls"] = []
    made["metrics"] = [{"metric": "fidelity"}]
    del made["downloads"]["llama"]
    write_study(tmp_path, made)
    with pytest.raises(UserError, match="fidelity needs a task that gives scored or texts; no task of the study does"):
        studies.load(tmp_path / "config.yaml")
    table = {"download": "reviews", "file": "reviews.csv", "format": "csv", "columns": {"text": "sentence"}}
    made["tasks"]["similarity"]["test"] = {"reviews": table}
    write_study(tmp_path, made)
    loaded = studies.load(tmp_path / "config.yaml")
    assert loaded.scored(loaded.metrics[0]) == [("bert", "similarity")]


@pytest.mark.parametrize(("controls", "expected"), [(False, "bf16"), (True, "fp32")])
def test_what_controls_are_made_of_is_read_in_float32(ran, controls, expected, tmp_path, monkeypatch):
    asked = []

    def load(path, *, precision, device):
        asked.append(precision)
        raise UserError("that is enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", load)
    jobs = {each.recipe.path: each for each in ran[2].values() if each.stage == "evaluate"}
    orders = [
        Order(each.recipe, dataclasses.replace(each.job, precision="bf16"))
        for each in jobs.values()
        if controls or not each.job.control
    ]
    with pytest.raises(UserError, match="that is enough"):
        evaluate.run(orders)
    assert set(asked) == {expected}
