"""The paper study in miniature, by the same code: a tiny RoBERTa and GLUE-shaped Parquet from a loopback hub."""

import random
from dataclasses import asdict

import pandas as pd
import pytest
import yaml
from hub_server import hub_server
from tiny import SENTENCES, in_one_file, tiny_roberta
from tiny_study import ROOT, planned, snakemake, workspace, write_data

from fairshrink.planning import grid
from fairshrink.planning.studies import load

pytestmark = pytest.mark.workflow
MODEL, DATA = "e2da8e2f811d1448a5b465c236feacd80ffbac7b", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def test_it_is_the_original_study_in_full():
    study = load(ROOT / "configs/paper.yaml")
    artifacts = grid.expand(study).values()
    baselines = [asdict(each.job.identity) for each in artifacts if each.stage == "finetune"]
    assert sorted((each["task"], each["split"]) for each in baselines) == [
        (task, split) for task in ("mnli", "stsb") for split in (0, 1, 2)
    ]
    methods = {each.method for each in study.compressions}
    assert methods >= {
        "random",
        "magnitude_layerwise",
        "magnitude_global",
        "magnitude_attention",
        "iterative_magnitude",
        "head_pruning",
    }
    levels = {each.settings.sparsity for each in study.compressions if each.method == "iterative_magnitude"}
    assert levels == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95}
    tests = {name: set(task.tests) for name, task in study.tasks.items()}
    assert tests == {"mnli": {"matched", "mismatched"}, "stsb": {"validation"}}


def glue(folder):
    """Tables as GLUE ships them: whole-number labels for MNLI, scores from 0 to 5 for STS-B."""
    draw = random.Random(7)

    def pairs(first: str, second: str, label, n: int) -> pd.DataFrame:
        rows = [(draw.choice(SENTENCES), draw.choice(SENTENCES), label(), number) for number in range(n)]
        return pd.DataFrame(rows, columns=[first, second, "label", "idx"])

    for task in ("mnli", "stsb"):
        (folder / task).mkdir(parents=True)
    for name, n in (("train", 40), ("validation_matched", 15), ("validation_mismatched", 15)):
        table = pairs("premise", "hypothesis", lambda: draw.randrange(3), n)
        table.to_parquet(folder / "mnli" / f"{name}-00000-of-00001.parquet")
    for name, n in (("train", 40), ("validation", 15)):
        table = pairs("sentence1", "sentence2", lambda: round(draw.uniform(0, 5), 1), n)
        table.to_parquet(folder / "stsb" / f"{name}-00000-of-00001.parquet")
    (folder / "README.md").write_text(CARD)
    return folder


CARD = """---
dataset_info:
- config_name: mnli
  features:
  - {name: premise, dtype: string}
  - {name: hypothesis, dtype: string}
  - {name: label, dtype: {class_label: {names: {'0': entailment, '1': neutral, '2': contradiction}}}}
  - {name: idx, dtype: int32}
- config_name: stsb
  features:
  - {name: sentence1, dtype: string}
  - {name: sentence2, dtype: string}
  - {name: label, dtype: float32}
  - {name: idx, dtype: int32}
configs:
- config_name: mnli
  data_files:
  - {split: train, path: mnli/train-*}
  - {split: validation_matched, path: mnli/validation_matched-*}
  - {split: validation_mismatched, path: mnli/validation_mismatched-*}
- config_name: stsb
  data_files:
  - {split: train, path: stsb/train-*}
  - {split: validation, path: stsb/validation-*}
---
"""


def miniature() -> dict:
    """The paper's study file with smaller numbers; every other line is as it ships."""
    content = yaml.safe_load((ROOT / "configs/paper.yaml").read_text())
    content["downloads"]["benchmarks"] = {"source": "local", "path": "local/benchmarks"}
    for task in content["tasks"].values():
        task |= {"epochs": 1, "batch_size": 16, "max_length": 40, "splits": [0]}
    for each in content["compressions"]:
        if "sparsity" in each:
            each["sparsity"] = [0.5]
        if each["method"] == "iterative_magnitude":
            each["rounds"] = 2
    for each in content["metrics"]:
        if each["metric"] == "stereoset":
            each["data"]["items"]["file"] = "stereoset.json"
        if each["metric"] == "bias_nli":
            each["sample"] = 36
            each["data"]["words"]["file"] = "word_lists"
        if each["metric"] in ("weat", "seat"):
            each["tests"] = [f"{each['metric']}6"]
    content["execution"] = {"checkpoints_per_job": 16}
    return content


def test_tiny_version_of_the_paper_study(tmp_path):
    (tmp_path / "w").mkdir()
    folder = workspace(tmp_path / "w", miniature())
    write_data(folder / "local", models=())
    model = in_one_file(tiny_roberta("masked_lm", tmp_path / "roberta", num_hidden_layers=3))
    served = {
        ("model", "FacebookAI/roberta-base", MODEL): model,
        ("dataset", "nyu-mll/glue", DATA): glue(tmp_path / "glue"),
    }
    with hub_server(served) as endpoint:
        snakemake(folder, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0")
    assert planned(folder) == {}
    frame = pd.read_parquet(folder / "results/paper/tables/results.parquet")
    methods = ["head_pruning", "iterative_magnitude", "magnitude_attention", "magnitude_global", "magnitude_layerwise"]
    assert sorted(frame["method"].unique()) == [*methods, "none", "random", "random_init"]
    scored = frame.query("metric == 'task_score' and task == 'mnli' and statistic == 'accuracy'")
    assert set(scored["group"]) >= {"matched", "mismatched"}
    pruned = frame.drop_duplicates("key").set_index("method")["zero_fraction_prunable"]
    for method in ("random", "magnitude_layerwise", "magnitude_global", "iterative_magnitude"):
        assert pruned[method].tolist() == pytest.approx([0.5] * len(pruned[[method]]), abs=1e-3), method
    for name in ("overview_mnli.tex", "overview_stsb.csv"):
        assert (folder / "results/paper/tables" / name).stat().st_size > 0
