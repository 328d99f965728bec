"""Chains are made as their steps say: each from the checkpoint before it, counted against the baseline."""

import json
from pathlib import Path

import pytest
import torch
from tiny_study import study, write_data, write_study

from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.planning import grid, plan, studies
from fairshrink.registry import CATALOG
from fairshrink.stages import compress, download, finetune
from fairshrink.store.layout import MARKER
from fairshrink.study.schema import Execution

STEPS = [
    {"method": "magnitude_global", "sparsity": 0.6},
    {"method": "head_pruning", "sparsity": 0.25, "items": 8},
    {"method": "recovery", "epochs": 1},
    {"method": "int8_dynamic"},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The artifacts of a study with one chain, in the order in which jobs make them."""
    folder = tmp_path_factory.mktemp("chain")
    write_data(folder / "local", models=("bert",))
    content = study() | {"compressions": [{"chain": STEPS}], "controls": [], "metrics": [{"metric": "task_score"}]}
    content["models"] = {"bert": content["models"]["bert"] | {"tasks": ["sentiment"]}}
    content["tasks"] = {"sentiment": content["tasks"]["sentiment"] | {"splits": [0]}}
    write_study(folder, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = grid.expand(studies.load("config.yaml"))
        jobs = plan.make(found, "s", Execution(), exists=lambda _: False).of("download", "finetune", "compress")
        for job in jobs:
            {"download": download, "finetune": finetune, "compress": compress}[job.stage].run(job.artifacts)
        yield [folder / each.recipe.path for job in jobs for each in job.artifacts if job.stage == "compress"], jobs


def test_each_step_changes_what_the_one_before_it_made(made):
    steps = [checkpoints.load(path) for path in made[0]]
    assert len(steps) == 4
    assert [sorted(each.structure) for each in steps] == [
        [],
        ["removed_heads"],
        ["removed_heads"],
        ["int8", "removed_heads"],
    ]
    pruned, recovered = steps[1].model.state_dict(), steps[2].model.state_dict()
    zeros = {name: value == 0 for name, value in pruned.items() if value.ndim > 1}
    assert all((recovered[name][zero] == 0).all() for name, zero in zeros.items() if "embeddings" not in name)
    assert any(not torch.equal(value, recovered[name]) for name, value in pruned.items())
    again = CATALOG.compression["int8_dynamic"]
    by_hand = again.compress(steps[2], again.Settings(), None).model.state_dict()
    assert all(torch.equal(value, by_hand[name]) for name, value in steps[3].model.state_dict().items())


def test_the_ledger_of_the_end_counts_against_the_baseline(made):
    records = [json.loads((path / MARKER).read_text()) for path in made[0]]
    ledgers = [each["ledger"] for each in records]
    assert ledgers[0]["zero_fraction_prunable"] == pytest.approx(0.6, abs=1e-3)
    assert ledgers[3]["params"] < ledgers[0]["params"] and ledgers[3]["effective_bits"] < ledgers[2]["effective_bits"]
    assert records[3]["identity"]["method"] == "magnitude_global+head_pruning+recovery+int8_dynamic"


def test_a_step_without_what_it_is_made_of_says_so(made):
    (order,) = made[1][-1].artifacts
    gone = Path("nowhere")
    job = type(order.job)(**{**order.job.__dict__, "checkpoint": str(gone)})
    recipe = type(order.recipe)(**{**order.recipe.__dict__, "path": order.recipe.path + "x"})
    with pytest.raises(UserError, match="nowhere, of which it is made, is not there"):
        compress.run([type(order)(recipe, job, order.entries)])
