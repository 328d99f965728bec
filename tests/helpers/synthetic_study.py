"""A study whose scores are drawn, not computed: what the analysis sees of a real one, in a second."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fairshrink.analysis import results
from fairshrink.reporting.write import aggregate as write_all
from fairshrink.settings import Settings
from fairshrink.stats.estimates import Statistic, spearman, weighted_mean
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, Identity, ScoreEntry

METHODS = (
    ("magnitude_layerwise", "unstructured", "sparsity"),
    ("random", "unstructured", "sparsity"),
    ("heads", "structured", "sparsity"),
    ("int8_dynamic", "quantization", None),
    ("random_init", "controls", None),
)
LEVELS = (0.2, 0.4, 0.6, 0.8)
GROUPS = ("gender", "profession", "race")


def _stereotypes(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    made = [
        Statistic("share", weighted_mean(items["stereotype"]), "all", len(items), 0.5, 0.5, "more_biased"),
        Statistic("tied", float(items["tied"].sum()), "all", len(items), higher_is="count"),
    ]
    for group in GROUPS:
        mask = items["group"] == group
        made.append(Statistic("share", weighted_mean(items["stereotype"], mask), group, int(mask.sum()), 0.5, 0.5))
    return made


def _gap(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    return [Statistic("mean_gap", weighted_mean(items["gap"]), "all", len(items), 0.0, None, "more_biased")]


def _task(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    estimate = spearman(items["gold"], items["predicted"])
    return [Statistic("score", estimate, "all", len(items), None, 0.0, "better")]


MODULES = {
    "stereotypes": SimpleNamespace(
        Settings=Settings, KIND="intrinsic", HEADLINE=("share", "all"), summarize=_stereotypes
    ),
    "sentiment_gap": SimpleNamespace(Settings=Settings, KIND="extrinsic", HEADLINE=("mean_gap", "all"), summarize=_gap),
    "task_score": SimpleNamespace(Settings=Settings, KIND="task", HEADLINE=("score", "all"), summarize=_task),
}


IDENTITY = ("model", "family", "task", "split", "seed", "method", "method_family", "setting", "sparsity")


def job(spec: dict) -> AggregateJob:
    """What the aggregate stage would be given for a spec."""
    checkpoints = [
        CheckpointEntry(
            key=each["key"],
            name=each["name"],
            path=each["path"],
            record=each["ledger"],
            baseline_key=each["baseline_key"],
            identity=Identity(**{name: each[name] for name in IDENTITY}),
        )
        for each in spec["checkpoints"]
    ]
    scores = [
        ScoreEntry(**{name: value for name, value in each.items() if name != "provenance"}, record=each["provenance"])
        for each in spec["scores"]
    ]
    return AggregateJob(spec["study"], spec["level"], spec["resamples"], spec["seed"], checkpoints, scores)


def build(spec: dict) -> pd.DataFrame:
    """The results table of a spec."""
    return results.build(job(spec), MODULES)


def aggregate(spec: dict, log=lambda line: None) -> None:
    """Tables and figures of a spec, beside its scores."""
    write_all(job(spec), MODULES, Path(spec["out"]).parent, log)


def write(folder: Path, *, splits: int = 2, tasks=("sentiment",), models=("minilm",), n: int = 240) -> dict:
    """Scores and provenance below ``folder``, and the spec that names them."""
    spec = {"study": "synthetic", "level": 0.95, "resamples": 200, "seed": 0, "checkpoints": [], "scores": []}
    spec |= {"out": str(folder / "tables"), "figures": str(folder / "figures")}
    for model in models:
        for task in tasks:
            for split in range(splits):
                _baseline(folder, spec, model, task, split, n)
    return spec


def _baseline(folder: Path, spec: dict, model: str, task: str, split: int, n: int) -> None:
    base = f"{model}-{task}-{split}"
    cells = [("none", "", None, "")]
    for method, family, knob in METHODS:
        cells += [(method, family, s, f"sparsity={s}") for s in LEVELS] if knob else [(method, family, None, "")]
    for method, family, sparsity, setting in cells:
        key = base if method == "none" else f"{base}-{method}-{sparsity}"
        strength = {"random": 1.6, "heads": 0.8}.get(method, 1.0) * (sparsity or 0.02)
        skill = 0.0 if method == "random_init" else max(0.0, 1 - strength**2)
        ledger = folder / "checkpoints" / key / "provenance.json"
        ledger.parent.mkdir(parents=True)
        ledger.write_text(json.dumps(_provenance(sparsity)))
        spec["checkpoints"].append(
            {
                "key": key,
                "name": key,
                "path": str(ledger.parent),
                "model": model,
                "family": "encoder",
                "task": task,
                "split": split,
                "seed": 17 + split,
                "method": method,
                "method_family": family,
                "setting": setting,
                "sparsity": sparsity,
                "baseline_key": base,
                "ledger": str(ledger),
            }
        )
        for metric, items in _items(skill, split, n, method == "heads").items():
            path = folder / "scores" / key / f"{metric}-abc.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pandas(items, preserve_index=False), path)
            record = path.with_suffix(".json")
            record.write_text(json.dumps({"made": {"wall_s": 1.5, "peak_memory_bytes": 9}}))
            score = {
                "path": str(path),
                "provenance": str(record),
                "key": "abc",
                "checkpoint": key,
                "entry": metric,
                "metric": metric,
            }
            spec["scores"].append(score | {"settings": {}, "dataset": f"{metric}-data"})


def _items(skill: float, split: int, n: int, fairer: bool) -> dict[str, pd.DataFrame]:
    """Scores that share their draws between checkpoints, as those of one test set do."""
    generator = np.random.default_rng(split)
    easy, noise, gold = generator.random(n), generator.normal(size=n), np.round(generator.normal(size=n), 1)
    place = pd.DataFrame(
        {
            "item": [f"i{i:04d}" for i in range(n)],
            "cluster": [f"c{i // 4:03d}" for i in range(n)],
            "group": [GROUPS[i % 3] for i in range(n)],
        }
    )
    lean = 0.5 + 0.14 * skill * (0.3 if fairer else 1.0)
    gap = np.abs(0.4 * skill + 0.25 * noise * skill)
    predicted = skill * gold + (1.15 - skill) * noise
    return {
        "stereotypes": place.assign(stereotype=easy < lean, tied=easy > 0.98),
        "sentiment_gap": place.assign(gap=gap),
        "task_score": place.assign(gold=gold, predicted=predicted),
    }


def _provenance(sparsity: float | None) -> dict:
    zeros = sparsity or 0.0
    return {
        "ledger": {
            "params": 1000,
            "zero_fraction_prunable": zeros,
            "zero_fraction_total": zeros / 2,
            "effective_bits": 32 * (1 - zeros),
            "bytes": 4000,
            "flops_per_token": 2000.0,
        },
        "measurements": {"latency_ms": 3.25},
        "made": {"wall_s": 12.0, "peak_memory_bytes": 1024, "host": "somewhere"},
    }
