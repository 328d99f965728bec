"""The study of every method in miniature: a method of each family, and its chains, on two tiny models."""

import pandas as pd
import pytest
import yaml
from tiny import in_one_file, tiny_bert
from tiny_study import ROOT, planned, snakemake, workspace

from fairshrink import registry
from fairshrink.contracts import CONTROLS
from fairshrink.planning.studies import load

pytestmark = pytest.mark.workflow
FILE = ROOT / "configs/methods.yaml"
LEFT_OUT = {
    "embedding_tying": "neither model has an output layer that is not tied to its embeddings",
    "movement": "needs more epochs than a core can train in the time",
}


def test_it_has_every_method():
    study = load(FILE)
    steps = [*study.compressions, *(step for chain in study.chains for step in chain.steps)]
    known = registry.modules("compression")
    methods = {name for name in known.names() if known.family(name) != CONTROLS}
    assert {each.method for each in steps} == methods - LEFT_OUT.keys()
    assert not methods & {each.method for each in study.controls}


def smaller(entry: dict) -> dict:
    """An entry with settings that fit two layers of 32: one value of each setting, few examples."""
    few = {"calibration_items": 8, "items": 8, "fisher_items": 8, "group": 16, "train_items": 16, "layers": 1}
    few |= {"student_layers": 1, "epochs": 1, "rounds": 1}
    return {
        key: few.get(key, value[-1] if isinstance(value, list) and key != "tasks" else value)
        for key, value in entry.items()
    }


def miniature() -> dict:
    """The study file with local downloads, one method of each family, few items; else as it ships."""
    content = yaml.safe_load(FILE.read_text())
    content["downloads"] = {
        "minilm": {"source": "local", "path": "local/bert"},
        "smollm2": {"source": "local", "path": "local/llama"},
        "benchmarks": {"source": "local", "path": "local/benchmarks"},
        "texts": {"source": "local", "path": "local/reviews.csv"},
        "minilm_int8": {"source": "local", "path": "local/encoder"},
        "similarities": {"source": "local", "path": "local/similarities.csv"},
    }
    for model in content["models"].values():
        for key in ("folder", "gguf_file", "weights"):
            model.pop(key, None)
    table = {"download": "texts", "file": "reviews.csv", "format": "csv"}
    content["tasks"]["sentiment"]["train"] = table | {"columns": {"text": "sentence", "label": "stars"}}
    content["tasks"]["lm"]["train"] = table | {"columns": {"text": "sentence"}}
    content["tasks"]["sentiment"]["train_items"] = 32
    rated = {"download": "similarities", "file": "similarities.csv", "format": "csv"}
    content["tasks"]["words"]["test"]["wordsim"] = rated | {
        "columns": {"text": "first", "text_pair": "second", "label": "rating"}
    }
    chains = [each for each in content["compressions"] if "chain" in each]
    single = [each for each in reversed(content["compressions"]) if "method" in each]
    first = {registry.modules("compression").family(each["method"]): each for each in single}
    first["given_checkpoints"] = {"method": "given", "download": "minilm_int8", "tasks": ["words"]}
    content["compressions"] = [smaller(each) for each in first.values()]
    content["compressions"] += [each | {"chain": [smaller(step) for step in each["chain"]]} for each in chains]
    content["controls"] = [{"method": "random_init"}]
    content["metrics"][0]["texts"] = content["metrics"][1]["texts"] = 5
    content["metrics"][0]["sample"] = content["metrics"][1]["sample"] = 5
    content["metrics"][4]["data"]["items"]["file"] = "stereoset.json"
    content["execution"] = {"checkpoints_per_job": 64}
    return content


def test_tiny_version_of_the_study_of_methods(tmp_path):
    content = miniature()
    in_one_file(tiny_bert("encoder", tmp_path / "local/encoder", seed=2))
    words = [f"doctor,{word},{rating}" for rating, word in enumerate(("nurse", "park", "car", "man", "woman", "film"))]
    (tmp_path / "local/similarities.csv").write_text("\n".join(["first,second,rating", *words]) + "\n")
    folder = workspace(tmp_path, content)
    snakemake(folder)
    assert planned(folder) == {}
    frame = pd.read_parquet(folder / "results/methods/tables/results.parquet")
    listed = {
        each.get("method") or "+".join(step["method"] for step in each["chain"]) for each in content["compressions"]
    }
    assert set(frame["method"]) == listed | {"none", "random_init"}
    for task, metrics in {"sentiment": "sentiment_gap", "lm": "stereoset", "words": "bias_sts"}.items():
        rows = frame[frame["task"] == task]
        assert {"task_score", "fidelity", metrics} == set(rows["metric"])
    # What the study is about: almost every method leaves fewer bytes on disk than its baseline has.
    sizes = frame.drop_duplicates("key").set_index(["task", "method", "setting"])["bytes"]
    for task, rows in sizes.groupby("task"):
        baseline = rows.xs("none", level="method").item()
        assert (rows.drop(index="random_init", level="method") <= baseline).all(), task
