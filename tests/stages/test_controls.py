"""Controls that are not stored: their scores are those of the stored model, bit for bit, and carry what tables need."""

import json
import math
import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny_study import study, write_data, write_study

from fairshrink import registry
from fairshrink.contracts import Context, Scoring
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.ledger import ledger
from fairshrink.planning import grid, studies
from fairshrink.planning.plan import Order
from fairshrink.stages import aggregate, compress, controls, download, evaluate, finetune
from fairshrink.stages.opening import open_task

STAGES = {"download": download, "finetune": finetune, "compress": compress, "evaluate": evaluate}
REVIEWS = {
    "download": "reviews",
    "file": "reviews.csv",
    "format": "csv",
    "columns": {"text": "sentence", "label": "stars"},
}


def content():
    made = study()
    made["models"]["bert"]["tasks"] = ["sentiment", "nli"]
    made["tasks"] = {name: made["tasks"][name] for name in ("sentiment", "nli", "lm")}
    made["tasks"]["sentiment"]["splits"] = [0]
    made["compressions"] = []
    made["controls"] = [
        {"method": "weight_noise", "level": [0.1, 0.4], "control_seed": [0, 1]},
        {"method": "random_heads", "sparsity": 0.5, "metrics": ["task_score"]},
        {"method": "random_init"},
        {"method": "constant"},
        {"method": "uniform"},
        {"method": "noise_floor"},
        {"method": "other_seed", "tasks": ["sentiment"]},
        {"method": "trained_further", "tasks": ["nli"]},
    ]
    made["doses"] = [{"name": "harsh", "task": "sentiment", "table": REVIEWS, "amounts": [4, 9]}]
    wanted = {"task_score", "crows_pairs", "bias_nli"}
    made["metrics"] = [each for each in made["metrics"] if each["metric"] in wanted]
    made["metrics"] += [{"metric": "fidelity", "texts": 3}, {"metric": "sentiment_gap", "noun_phrases": 1}]
    return made


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The grid of the study after all stages, in its folder, and how often each control was made."""
    folder, before, made = tmp_path_factory.mktemp("controls"), Path.cwd(), Counter()
    write_data(folder / "local")
    write_study(folder, content())
    os.chdir(folder)
    original = controls.make
    try:
        found = grid.expand(studies.load("config.yaml"))
        controls.make = lambda recipe, baseline: made.update([recipe.name]) or original(recipe, baseline)
        for stage, module in STAGES.items():
            module.run([Order(each.recipe, each.job) for each in found.values() if each.stage == stage])
        aggregate.run([Order(found.tables.recipe, found.tables.job)])
        yield found, made
    finally:
        controls.make = original
        os.chdir(before)


def unstored(found):
    return [each for each in found.values() if each.stage == "evaluate" and each.job.control]


def test_each_is_made_once_for_all_its_metrics_and_none_is_stored(ran):
    found, made = ran
    assert set(made.values()) == {1} and len(made) == 3 * (4 + 1 + 1 + 1) + 2 + 2
    stored = {each.job.method for each in found.values() if each.stage == "compress"}
    assert stored == {"other_seed", "trained_further", "dose"}
    assert {path.name.split("-")[3] for path in Path("results/compressed").iterdir()} == stored


@pytest.mark.parametrize("method", ["weight_noise", "random_heads", "random_init"])
def test_scores_equal_those_of_the_stored_control_bit_for_bit(ran, method, tmp_path):
    found, _ = ran
    mine = [each for each in unstored(found) if each.job.control.method == method]
    assert len({each.job.control.key for each in mine}) == (12 if method == "weight_noise" else 3)
    for each in mine:
        job, control = each.job, each.job.control
        module, metric = registry.load("compression", method), registry.load("metrics", job.metric)
        base = checkpoints.load(Path(job.checkpoint))
        context = Context(control.seed, None, None, lambda line: None)
        torch.manual_seed(1)
        made = module.compress(checkpoints.load(Path(job.checkpoint)), module.Settings(**control.settings), context)
        stored = tmp_path / control.key
        checkpoints.save(made, stored)
        given = Scoring(
            checkpoints.load(stored),
            {role: [Path(each) for each in paths] for role, paths in job.data.items()},
            open_task(job.task) if job.task else None,
            base if job.baseline else None,
        )
        items = metric.score(given, metric.Settings(**job.settings)).sort_values("item", ignore_index=True)
        pd.testing.assert_frame_equal(pd.read_parquet(f"{each.path}/items.parquet"), items, check_exact=True)
        record = json.loads(Path(each.marker).read_text())["checkpoint"]
        assert record["ledger"] == ledger(given.checkpoint, base)
        assert (record["key"], record["name"]) == (control.key, control.name)
        assert record["identity"]["method_family"] == "controls"


def test_the_order_of_work_does_not_change_scores(ran, tmp_path, monkeypatch):
    found, _ = ran
    orders = [Order(each.recipe, each.job) for each in unstored(found) if "bert-nli" in each.path][::-1]
    there = {each.recipe.path: pd.read_parquet(f"{each.recipe.path}/items.parquet") for each in orders}
    for name in ("data", "results/baselines", "local"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(Path(name).resolve())
    monkeypatch.chdir(tmp_path)
    evaluate.run(orders)
    for path, items in there.items():
        pd.testing.assert_frame_equal(pd.read_parquet(f"{path}/items.parquet"), items, check_exact=True)


def test_a_control_has_the_metrics_that_are_named_or_that_can_show_it(ran):
    found, _ = ran
    scored = {(each.job.control.method, each.path.split("-")[1], each.job.metric) for each in unstored(found)}
    assert {metric for method, _, metric in scored if method == "random_heads"} == {"task_score"}
    assert {task for method, task, _ in scored if method == "constant"} == {"sentiment", "nli"}
    assert {task for method, task, _ in scored if method == "uniform"} == {"nli", "lm"}
    assert {metric for _, task, metric in scored if task == "lm"} == {"task_score", "crows_pairs", "fidelity"}


def test_tables_have_every_control_with_its_own_key_and_baseline(ran):
    found, _ = ran
    table = pd.read_parquet(f"{found.tables.path}/tables/results.parquet")
    listed = {each.key: each for each in found.tables.job.checkpoints}
    assert {each.identity.method_family for each in listed.values()} == {"baseline", "controls"}
    baselines = {each.baseline_key for each in listed.values()}
    assert baselines == {each.key for each in listed.values() if each.identity.method == "none"}
    assert set(table["key"]) == set(listed)
    assert {each.identity.method for each in listed.values() if not each.path} == {
        "weight_noise", "random_heads", "random_init", "constant", "uniform", "noise_floor",
    }  # fmt: skip
    scores = table[(table["metric"] == "task_score") & (table["statistic"] == "score")]
    lm = scores[scores["task"] == "lm"].set_index("method")["value"]
    words = json.loads(Path("local/llama/config.json").read_text())["vocab_size"]
    assert lm["uniform"] == pytest.approx(-math.log(words), rel=1e-6)
    assert lm["noise_floor"] == pytest.approx(lm["none"], rel=1e-5)
    doses = table[table["method"] == "dose"]
    assert set(doses["setting"]) == {"harsh=4", "harsh=9"} and set(doses["split"]) == {0}
    damage = table[(table["metric"] == "fidelity") & (table["statistic"] == "mean_kl")].set_index(["task", "method"])
    assert 0 <= damage.loc[("lm", "noise_floor"), "value"] < 1e-6
    nli = table[
        (table["metric"] == "bias_nli") & (table["method"] == "uniform") & (table["statistic"] == "net_neutral")
    ]
    assert nli["value"].to_numpy() == pytest.approx([1 / 3] * len(nli))
    gap = table[(table["metric"] == "sentiment_gap") & (table["method"] == "constant")]
    assert gap[gap["statistic"] == "mean_gap"]["value"].abs().max() == 0
