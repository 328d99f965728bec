"""Everything that a report is made of, around a table of cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fairshrink.reporting import report


def write(path: Path, cells: pd.DataFrame, study: str = "drawn", text: str = "The <b>nurse</b> was late.") -> None:
    """A report with one row or more in each of its tables."""
    where = {"model": "minilm", "task": "mlm"}
    heads = where | {"method": "head_pruning", "setting": "sparsity=0.25"}
    agreement = {"first": "crows_pairs", "second": "stereoset", "n_checkpoints": 24, "spearman": 0.31, "ci_low": -0.1}
    agreement |= {"ci_high": 0.63, "residual_spearman": None, "reliability_first": 0.4, "reliability_second": 0.8}
    flips = {"metric": "seat", "n_items": 400, "flipped": 0.2, "expected": 0.1, "uniform": 0.5, "numeric": np.nan}
    flips |= {"toward": 0.05, "away": 0.15, "mcnemar_p": 0.0003}
    degenerate = {"metric": "seat", "n_checkpoints": 20, "correlation": 0.995, "alarm": True, "statement": text}
    valid = {
        "metric": "seat",
        "test": "dose",
        "value": 0.95,
        "low": 0.9,
        "high": 0.99,
        "threshold": 0.9,
        "passed": True,
    }
    checkpoint = heads | {"split": 0, "path": "results/compressed/x-abc", "key": "abc", "commit": "f8d34e9"}
    checkpoint |= {"code": "13 definitions", "scores": {"seat": "results/scores/x-abc/seat-1/items.parquet"}}
    report.write(
        path,
        cells,
        pd.DataFrame([where | agreement | {"statement": text}]),
        pd.DataFrame([heads | flips, heads | flips | {"metric": "stereoset", "flipped": 0.1}]),
        pd.DataFrame([where | degenerate]),
        pd.DataFrame([where | valid | {"statement": text}]),
        pd.DataFrame([{"key": "abc", "name": "latency_s", "value": 0.0123}]),
        items(cells, text),
        {"study": study, "level": 0.95, "checkpoints": [checkpoint]},
    )


def items(cells: pd.DataFrame, text: str) -> dict[tuple[str, str, str, str, str], pd.DataFrame]:
    """Forty items of each compressed cell."""
    draw, made = np.random.default_rng(1), {}
    for row in cells[~cells["control"] & (cells["method"] != "none")].itertuples():
        before = draw.normal(size=40)
        columns = {"item": [f"gender-{i:03d}" for i in range(40)], "text": text, "group": "gender", "baseline": before}
        setting = row.setting if isinstance(row.setting, str) else ""
        frame = pd.DataFrame(columns | {"value": 0.8 * before + 0.3 * draw.normal(size=40)})
        made[row.model, row.task, row.method, setting, row.metric] = frame
    return made
