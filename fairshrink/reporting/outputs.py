"""The files that the analysis writes, known before anything has run. Imports only the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

STUDY_TABLES = (
    "results.parquet",
    "measurements.parquet",
    "headline.json",
    "verdicts.csv",
    "agreement.csv",
    "bias_by_sparsity.csv",
    "overview.html",
)
TASK_TABLES = ("csv", "md", "tex")
FIGURES = ("bias_by_sparsity", "bias_by_task_score")
FORMATS = ("png", "svg")


def tables(spec: Mapping[str, Any]) -> list[str]:
    """Paths of the tables; ``spec`` needs ``out`` and ``checkpoints``, each with its ``task``."""
    tasks = sorted({each["task"] for each in spec["checkpoints"]})
    names = [*STUDY_TABLES, *(f"overview_{task}.{ending}" for task in tasks for ending in TASK_TABLES)]
    return [str(Path(spec["out"]) / name) for name in names]


def figures(spec: Mapping[str, Any]) -> list[str]:
    """Paths of the figures; ``spec`` needs ``figures`` and ``checkpoints``, each with its ``model`` and ``task``."""
    pairs = sorted({(each["model"], each["task"]) for each in spec["checkpoints"]})
    return [
        str(Path(spec["figures"]) / f"{model}_{task}_{figure}.{ending}")
        for model, task in pairs
        for figure in FIGURES
        for ending in FORMATS
    ]


def outputs(spec: Mapping[str, Any]) -> list[str]:
    """Paths of all that the analysis makes, in a fixed order."""
    return tables(spec) + figures(spec)
