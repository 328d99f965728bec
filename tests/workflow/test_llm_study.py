"""The study of large causal models in miniature: tiny ones, one of them in parts, from a loopback hub."""

import pandas as pd
import pytest
import transformers
import yaml
from hub_server import hub_server
from tiny import in_one_file, tiny_llama
from tiny_study import ROOT, planned, snakemake, workspace, write_data

from fairshrink.planning import grid
from fairshrink.planning.studies import load

pytestmark = pytest.mark.workflow
FILE = ROOT / "configs/llm.yaml"


def test_it_plans_offline_large_models_that_nothing_trains():
    study = load(FILE)
    artifacts = grid.expand(study).values()
    baselines = [each for each in artifacts if each.stage == "finetune"]
    assert len(baselines) == len(study.models) == 3
    assert not any(each.job.model.trained for each in baselines)
    assert all(1e9 < model.weights < 8e9 for model in study.models.values())
    assert {each.method for each in study.compressions} >= {"int8_weight_only", "int4_weight_only"}


def miniature() -> dict:
    """The study file with fewer models and items; every other line is as it ships."""
    content = yaml.safe_load(FILE.read_text())
    content["downloads"]["benchmarks"] = {"source": "local", "path": "local/benchmarks"}
    content["downloads"]["texts"] = {"source": "local", "path": "local/reviews.csv"}
    content["tasks"]["lm"]["train"] = {
        "download": "texts",
        "file": "reviews.csv",
        "format": "csv",
        "columns": {"text": "sentence"},
    }
    del content["downloads"]["pythia_1_4b"], content["models"]["pythia_1_4b"]
    del content["controls"]
    content["compressions"][1]["group"] = 8
    content["metrics"] = [each for each in content["metrics"] if each["metric"] in ("task_score", "stereoset")]
    content["metrics"][0]["texts"] = 5
    content["metrics"][1]["data"]["items"]["file"] = "stereoset.json"
    content["execution"] = {"checkpoints_per_job": 16}
    return content


def in_parts(folder, model):
    """The same model in several files with an index, as large ones are published."""
    whole = transformers.AutoModelForCausalLM.from_pretrained(model)
    whole.save_pretrained(folder, max_shard_size="60KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder


def test_tiny_version_of_the_study_of_large_models(tmp_path):
    (tmp_path / "w").mkdir()
    content = miniature()
    folder = workspace(tmp_path / "w", content)
    write_data(folder / "local", models=())
    model = in_one_file(tiny_llama("causal_lm", tmp_path / "one"))
    served = {
        ("model", content["downloads"][name]["repo"], content["downloads"][name]["revision"]): place
        for name, place in (("qwen2_5_1_5b", model), ("qwen2_5_7b", in_parts(tmp_path / "parts", model)))
    }
    with hub_server(served) as endpoint:
        snakemake(folder, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0")
    assert planned(folder) == {}
    frame = pd.read_parquet(folder / "results/llm/tables/results.parquet")
    assert sorted(frame["method"].unique()) == ["int4_weight_only", "int8_weight_only", "none"]
    by_model = [part.sort_values(["method", "metric", "group", "statistic"]) for _, part in frame.groupby("model")]
    assert len(by_model) == 2
    # The one in parts is the same model.
    one, other = (part[["method", "metric", "group", "statistic", "value"]].reset_index(drop=True) for part in by_model)
    pd.testing.assert_frame_equal(one, other)
