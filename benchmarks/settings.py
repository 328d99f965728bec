"""How much the headline of each metric moves with its settings, on the models of the default study and SmolLM2.

    PYTHONPATH=. .venv/bin/python benchmarks/settings.py --models MODELS.yaml --only crows_pairs bbq

writes docs/settings.csv, from which the gallery shows what moves each metric (`make docs`). `MODELS.yaml` says where
the models and data are: folders under `models` (encoder, masked, nli, sentiment, causal: checkpoints of a study, or
published models) and `data` (the unpacked packages that `settings_varied.py` names); for the metric that needs
a task the `study`, and the folder `pairs` of its sentence pairs. With `--only` the other metrics keep their rows.

Each setting is changed alone. The difference from the first row is paired by items; where a setting chooses other
items, such as the seed of a sample, items of either sample count where they are. Intervals are those of the product.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from settings_varied import DATA, ENTRIES, Varied

import fairshrink
from fairshrink.analysis.joint import Joint, join, measure, over_joint
from fairshrink.analysis.measured import numbers
from fairshrink.analysis.share_differences import change_of
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.registry import CATALOG
from fairshrink.scoring.one_model import Choice, open_model
from fairshrink.stats.estimates import Statistic, difference

TABLE = Path(__file__).parents[1] / "docs/settings.csv"
LEVEL = 0.95
TASKS = {"bias_nli": "nli"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="METRIC")
    parser.add_argument("--on", nargs="+", metavar="MODEL")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    where = yaml.safe_load(options.models.read_text(encoding="utf-8"))
    chosen = [
        each
        for each in ENTRIES
        if each.metric in (options.only or [each.metric]) and each.model in (options.on or [each.model])
    ]
    for entry in chosen:
        began = time.process_time()
        found = pd.DataFrame(rows(entry, where))
        written(options.out, entry, found)
        took = time.process_time() - began
        print(f"{entry.metric} on {entry.model}: {len(found)} rows, {took:.0f} s of CPU", flush=True)


def written(path: Path, entry: Varied, found: pd.DataFrame) -> None:
    """The table with the rows of an entry in place of its former ones, in the order of metrics and models."""
    about = described(entry)
    if path.is_file():
        kept = pd.read_csv(path, keep_default_na=False, dtype=str)
        same = (kept["metric"] == entry.metric) & (kept["model"] == entry.model) & (kept["base"] == about)
        found = pd.concat([kept[~same], found.astype(str)], ignore_index=True)
    order = {(each.metric, each.model, described(each)): at for at, each in enumerate(ENTRIES)}
    keys = list(zip(found["metric"], found["model"], found["base"], strict=True))
    found["_at"] = [(key[0], order.get(key, -1)) for key in keys]
    found = found[[each[1] >= 0 for each in found["_at"]]].sort_values("_at", kind="stable").drop(columns="_at")
    found.to_csv(path, index=False, lineterminator="\n")


def described(entry: Varied) -> str:
    """What all rows of an entry have in common: what is not a default."""
    return ", ".join(f"{name}: {said(value)}" for name, value in entry.base.items())


def rows(entry: Varied, where: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of the base, and one for each other value of a setting."""
    cp = opened(entry, where)
    first = scored(entry, cp, {}, where)
    yield row(entry, "", "", first, None)
    for setting, values in entry.values.items():
        for value in values:
            yield row(entry, setting, said(value), scored(entry, cp, {setting: value}, where), first)


def said(value: Any) -> str:
    """A value as it is shown in one line of a table."""
    return str(value).lower() if isinstance(value, bool) else str(value).replace("\n", "⏎")


def opened(entry: Varied, where: Mapping[str, Any]) -> Checkpoint:
    settings = CATALOG.metrics[entry.metric].Settings(**entry.base)
    folder = where["models"][entry.model]
    if entry.metric in TASKS:
        return checkpoints.load(Path(folder))
    return open_model(folder, entry.metric, Choice(), settings)[0]


def scored(
    entry: Varied, cp: Checkpoint, change: Mapping[str, Any], where: Mapping[str, Any]
) -> tuple[pd.DataFrame, Statistic]:
    """The table of items, and the headline."""
    settings = {**entry.base, **change}
    data = {role: [located(each, where) for each in files] for role, files in DATA.get(entry.metric, {}).items()}
    items = fairshrink.score(cp, entry.metric, data=data, settings=settings, task=task(entry, where))
    module = CATALOG.metrics[entry.metric]
    statistics = module.summarize(items, module.Settings(**settings))
    return items, next(each for each in statistics if (each.name, each.group) == module.HEADLINE)


def located(file: str, where: Mapping[str, Any]) -> Path:
    """The file in whichever folder has it."""
    return next(path for each in where["data"] if (path := Path(each) / file).exists())


def task(entry: Varied, where: Mapping[str, Any]) -> Any:
    """The task of a metric that needs one."""
    if entry.metric not in TASKS:
        return None
    given = fairshrink.open_task(where["study"], TASKS[entry.metric])
    return dataclasses.replace(given, train=given.train.model_copy(update={"path": where["pairs"]}))


Scored = tuple[pd.DataFrame, Statistic]


def row(entry: Varied, setting: str, value: str, mine: Scored, base: Scored | None) -> dict[str, Any]:
    """Value and interval of the headline, and its paired difference from the base."""
    module = CATALOG.metrics[entry.metric]
    items, statistic = mine
    about = numbers(join([items], module.CLUSTERS), statistic, None, LEVEL, len(items))
    moved = (np.nan,) * 3 if base is None else paired(module.CLUSTERS, base, mine)
    return {
        "metric": entry.metric,
        "model": entry.model,
        "base": described(entry),
        "setting": setting,
        "value": value,
        "items": statistic.n_items,
        "statistic": statistic.name,
        **{name: rounded(about[key]) for name, key in (("estimate", "value"), ("low", "ci_low"), ("high", "ci_high"))},
        **{name: rounded(each) for name, each in zip(("change", "change_low", "change_high"), moved, strict=True)},
    }


def paired(clusters: Sequence[str], base: Scored, mine: Scored) -> tuple[float, float, float]:
    """How much higher the headline is than the base's, with its interval, over the items of both."""
    joint = join([base[0], mine[0]], clusters)
    before, after = (
        over_joint(statistic.resampled, rows, joint.n)
        for (_, statistic), rows in zip((base, mine), joint.rows, strict=True)
    )
    every = Joint(joint.n, (np.arange(joint.n),), joint.clusters)
    (moved,) = measure(every, [difference(after, before)], smooth=base[1].smooth and mine[1].smooth)
    found = change_of(moved.checkpoints, mine[1])
    return (found.value, *found.interval(LEVEL))


def rounded(value: float | None) -> str:
    """Four significant digits; nothing where there is no number."""
    return "" if value is None or np.isnan(value) else f"{value:.4g}"


if __name__ == "__main__":
    main()
