"""A study whose scores are drawn, not computed: what the analysis sees of a real one, in a second, with a known truth.

Each item has a signal s_b of the baseline; a checkpoint has ``s_c = K s_b + shift + noise``, and the same K in a
neutral contrast. The noise is fixed by the split and the method's seed, so that checkpoints share their items.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fairshrink.analysis import results
from fairshrink.settings import Settings
from fairshrink.stats.estimates import Statistic, combine, pearson, weighted_mean
from fairshrink.stats.reflection import mean, share_above
from fairshrink.stats.signals import Contrast, Margin, Signal
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, Identity, ScoreEntry

GROUPS = ("gender", "profession", "race")
MEAN_SIGNAL = 0.4
"""The baseline's bias in units of the standard deviation of its signals."""


@dataclass(frozen=True)
class Cell:
    """A checkpoint: the share of signal that it keeps, the shift of its bias beyond that, the noise that it adds."""

    method: str
    family: str
    setting: str = ""
    sparsity: float | None = None
    kept: float = 1.0
    shift: float = 0.0
    noise: float = 0.1

    @property
    def damage(self) -> float:
        """A divergence: of second order in the noise and in the signal lost."""
        return (1 - self.kept) ** 2 / 4 + self.noise**2


BASELINE = Cell("none", "baseline", sparsity=0.0, noise=0.0)
CONTROLS = tuple(
    Cell("weight_noise", "controls", f"control_seed={seed},scale={scale}", kept=1 - scale, noise=scale)
    for scale in (0.05, 0.2, 0.5)
    for seed in range(5)
)
CELLS = (
    *(Cell("magnitude_global", "unstructured", f"sparsity={s}", s, 1 - s**2, noise=0.4 * s) for s in (0.2, 0.4, 0.8)),
    Cell("head_pruning", "structured", "sparsity=0.25", 0.25, 0.95, shift=-0.25, noise=0.15),
    Cell("int8_dynamic", "quantization", kept=1.0, noise=0.02),
    *CONTROLS,
    Cell("random_init", "controls", kept=0.0, noise=0.5),
)


def _gap(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    n = len(items)
    return [
        Statistic("mean_gap", weighted_mean(items["gap"]), "all", n, 0.0),
        Statistic("tied", float((items["gap"] == 0).sum()), "all", n, higher_is="count"),
    ]


def _stereotypes(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    above = 100.0 * (items["gap"] > 0)
    made = [Statistic("share", weighted_mean(above), "all", len(items), 50.0, 50.0, share_of=100.0)]
    for group in GROUPS:
        mask = items["group"] == group
        made.append(Statistic("share", weighted_mean(above, mask), group, int(mask.sum()), 50.0, 50.0, share_of=100.0))
    return made


def _signal(items: pd.DataFrame, functional) -> Signal:
    contrast = Contrast("neutral", items["neutral"].to_numpy(), fits_intercept=True)
    return Signal(items["gap"].to_numpy(), functional, (contrast,))


def _of_gap(items: pd.DataFrame, settings: Settings) -> Signal:
    return _signal(items, mean(np.ones(len(items))))


def _of_share(items: pd.DataFrame, settings: Settings) -> Signal:
    return _signal(items, share_above(np.ones(len(items)), unit=100.0))


def _task(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    estimate = pearson(items["label"], items["prediction"])
    return [Statistic("score", estimate, "all", len(items), None, 0.0, "better")]


def _fidelity(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    kl = weighted_mean(items["kl"])
    return [Statistic(name, combine(np.abs, kl), "all", len(items)) for name in ("damage", "mean_kl")]


def _module(kind: str, headline: tuple[str, str], summarize, **more) -> SimpleNamespace:
    return SimpleNamespace(
        Settings=Settings, KIND=kind, HEADLINE=headline, CLUSTERS=("cluster",), summarize=summarize, **more
    )


MODULES = {
    "stereotypes": _module(
        "intrinsic", ("share", "all"), _stereotypes, signal=_of_share, MARGIN=Margin(5.0), OWN_SKILL=None
    ),
    "sentiment_gap": _module(
        "extrinsic", ("mean_gap", "all"), _gap, signal=_of_gap, MARGIN=Margin(0.1), OWN_SKILL=None
    ),
    "fidelity": _module("damage", ("damage", "all"), _fidelity),
    "task_score": _module("task", ("score", "all"), _task),
}


def job(spec: dict) -> AggregateJob:
    """What the aggregate stage would be given for a spec."""
    return AggregateJob(
        spec["study"], spec["level"], spec["margins"], (), tuple(spec["checkpoints"]), tuple(spec["scores"])
    )


def build(spec: dict) -> pd.DataFrame:
    """The results table of a spec."""
    return results.build(job(spec), MODULES)[0]


def aggregate(spec: dict, folder: Path, log=lambda line: None) -> None:
    """Tables and figures of a spec."""
    from fairshrink.reporting.write import aggregate as write_all

    write_all(job(spec), MODULES, folder, log)


def write(
    folder: Path, *, splits: int = 2, tasks=("sentiment",), models=("minilm",), n: int = 240, cells=CELLS, seed: int = 0
) -> dict:
    """Scores and provenance below ``folder``, and the spec that names them."""
    spec = {"study": "synthetic", "level": 0.95, "margins": {}, "checkpoints": [], "scores": []}
    for model in models:
        for task in tasks:
            for split in range(splits):
                for cell in (BASELINE, *cells):
                    _checkpoint(folder, spec, (model, task, split), cell, n, seed)
    return spec


def key(model: str, task: str, split: int, cell: Cell) -> str:
    """The key of a checkpoint."""
    base = f"{model}-{task}-{split}"
    return base if cell.method == "none" else f"{base}-{cell.method}-{cell.setting}".rstrip("-")


def _checkpoint(folder: Path, spec: dict, where: tuple[str, str, int], cell: Cell, n: int, seed: int) -> None:
    model, task, split = where
    mine = key(*where, cell)
    record = folder / "checkpoints" / mine / "provenance.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(_provenance(cell.sparsity)))
    identity = Identity(
        model, "encoder", task, split, 17 + split, cell.method, cell.family, cell.setting, cell.sparsity
    )
    spec["checkpoints"].append(
        CheckpointEntry(mine, mine, str(record.parent), str(record), key(*where, BASELINE), identity)
    )
    for metric, items in drawn(cell, split, n, seed).items():
        path = folder / "scores" / mine / f"{metric}-abc.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pandas(items, preserve_index=False), path)
        score_record = path.with_suffix(".json")
        score_record.write_text(json.dumps({"made": {"wall_s": 1.5, "peak_memory_bytes": 9}}))
        spec["scores"].append(
            ScoreEntry(str(path), str(score_record), "abc", mine, metric, metric, {}, f"{metric}-data")
        )


def drawn(cell: Cell, split: int, n: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Items of each metric: those of one split are shared by all its checkpoints."""
    common = np.random.default_rng([seed, 1])
    own = np.random.default_rng([seed, 2, split])
    mine = np.random.default_rng([seed, 3, split, *cell.method.encode(), *cell.setting.encode()])
    place = pd.DataFrame(
        {
            "item": [f"i{i:04d}" for i in range(n)],
            "cluster": [f"c{i // 4:03d}" for i in range(n)],
            "group": [GROUPS[i % 3] for i in range(n)],
        }
    )
    found = {}
    for metric in ("stereotypes", "sentiment_gap"):
        before = MEAN_SIGNAL + common.normal(size=n) * 0.9 + own.normal(size=n) * 0.3
        neutral = common.normal(size=n)
        after = cell.kept * before + cell.shift + cell.noise * mine.normal(size=n)
        level = cell.kept * neutral + cell.noise * mine.normal(size=n)
        found[metric] = place.assign(gap=after, neutral=level)
    label = common.normal(size=n)
    guess = 0.8 * label + 0.6 * own.normal(size=n)
    found["task_score"] = place.assign(label=label, prediction=cell.kept * guess + cell.noise * mine.normal(size=n))
    found["fidelity"] = place.assign(kl=cell.damage * mine.chisquare(8, size=n) / 8)
    return found


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
            "cache_bytes_per_token": 0,
        },
        "measurements": {"latency_ms": 3.25},
        "made": {"wall_s": 12.0, "peak_memory_bytes": 1024, "host": "somewhere"},
    }
