"""What the tests of compression methods share: tiny models, tiny tasks, and the way through a folder and back."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from task_case import task_of
from tiny import LABELS, SENTENCES, tiny_bert, tiny_llama, tiny_roberta

from fairshrink import registry
from fairshrink.contracts import Context
from fairshrink.data.examples import Task
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint

MODELS = {
    "bert": (tiny_bert, "classification"),
    "roberta": (tiny_roberta, "masked_lm"),
    "llama": (tiny_llama, "causal_lm"),
}


FEW: dict[str, dict[str, Any]] = {
    "activation_svd": {"parameters_kept": 0.5},
    "fisher_svd": {"parameters_kept": 0.5, "fisher_items": 8},
    "head_pruning": {"sparsity": 0.25, "items": 8},
    "iterative_magnitude": {"rounds": 2},
    "kmeans": {"clusters": 16},
    "kv_cache": {"bits": 3},
    "kv_cache_channel": {"bits": 3},
    "layer_dropping": {"layers": 1},
    "linear_quantization": {"bits": 3},
    "random_heads": {"sparsity": 0.25},
    "redundant_layers": {"layers": 1},
    "soft_labels": {"student_layers": 1},
    "svd": {"parameters_kept": 0.5},
    "weight_noise": {"level": 0.3},
}
"""Settings for tiny models, besides those of `few_of`."""


def few_of(method: str) -> dict[str, Any]:
    """Settings of any method that change a tiny model: half of it goes, few examples are read."""
    fields = registry.load("compression", method).Settings.model_fields
    usual = {"sparsity": 0.5, "calibration_items": 8, "group": 16}
    return {name: value for name, value in usual.items() if name in fields} | FEW.get(method, {})


def tiny(name: str, folder: Path, head: str | None = None, **config) -> Checkpoint:
    """The same model each time within a folder: training a tokenizer again may number its pieces otherwise."""
    build, usual = MODELS[name]
    path = folder / "-".join([name, head or usual, *map(str, config.values())])
    return checkpoints.load(path if path.exists() else build(head or usual, path, **config))


def task(folder: Path, kind: str, **settings) -> Task:
    """The ten sentences, labeled in turn (classification) or by their length (regression)."""
    with (folder / f"{kind}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(
            [text, LABELS[i % 3] if kind == "classification" else len(text) / 30]
            for i, text in enumerate(4 * SENTENCES)
        )
    trained = registry.load("tasks", kind).TRAINED
    settings = {"dev_share": 0.2, "batch_size": 16, **settings} if trained else settings
    columns = {"text": "text"} | ({"label": "label"} if kind in ("classification", "regression") else {})
    table = {"path": str(folder), "file": f"{kind}.csv", "format": "csv", "columns": columns, "header": True}
    table |= {"encoding": "utf-8", "quoting": None, "labels": list(LABELS) if kind == "classification" else None}
    return task_of(kind, settings, table, name=f"a_{kind}", seed=3)


def context(task: Task | None = None, source=None, seed: int = 5, on_round=None) -> Context:
    return Context(seed=seed, task=task, source=source, log=lambda line: None, on_round=on_round)


def compress(method: str, cp: Checkpoint, about: Context | None = None, **settings) -> Checkpoint:
    module = registry.load("compression", method)
    return module.compress(cp, module.Settings(**settings), about or context())


def as_head(model: torch.nn.Module, cp: Checkpoint) -> Checkpoint:
    """A model in the place of a checkpoint's."""
    return Checkpoint(model, cp.tokenizer, cp.head, cp.labels)


def logits(cp: Checkpoint) -> torch.Tensor:
    """Of a few texts of equal length, in float32."""
    n = cp.model.get_input_embeddings().num_embeddings
    ids = torch.randint(5, n, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        out = cp.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return out.logits if hasattr(out, "logits") else out.last_hidden_state


def reread(cp: Checkpoint, folder: Path) -> Checkpoint:
    checkpoints.save(cp, folder)
    return checkpoints.load(folder)


def tensors_in(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint's files; no two have one name."""
    files = [load_file(each) for each in sorted(folder.glob("*.safetensors"))]
    tensors = {name: value for each in files for name, value in each.items()}
    assert len(tensors) == sum(map(len, files)) > 0
    return tensors


def tensor_bytes(folder: Path) -> int:
    """What a checkpoint's files hold besides their headers."""
    raw = [each.read_bytes() for each in folder.glob("*.safetensors")]
    return sum(len(each) - 8 - int.from_bytes(each[:8], "little") for each in raw)


def weights(cp: Checkpoint, names: list[str]) -> dict[str, torch.Tensor]:
    return {name: cp.model.get_submodule(name).weight.detach().clone() for name in names}


def as_stored_in(cp: Checkpoint, dtype: str) -> Checkpoint:
    with torch.no_grad():
        for parameter in cp.model.parameters():
            parameter.copy_(parameter.to(getattr(torch, dtype)))
    return dataclasses.replace(cp, dtype=dtype)
