"""Parts of the table of cells that tables and figures share: rows of a model and task, order, the cut-off."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from fairshrink.contracts import BASELINE, BIAS_KINDS, RANDOM_INIT
from fairshrink.reporting.outputs import DOSE

CELL = ["model", "task", "method", "setting"]
KEPT = 0.5
"""Least share of the task performance that a checkpoint must keep to be in a table with the cut-off."""
_SEED = re.compile(r"(^|[,;]\s*)control_seed=")


def texts(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with empty texts where a setting, a direction or a line is missing, in reading order."""
    filled = cells.assign(
        **{name: cells[name].fillna("").astype(str) for name in ("setting", "line", "higher_is")},
        control=cells["control"].fillna(False).astype(bool),
    )
    rank = {name: i for i, name in enumerate(_methods(filled))}
    of_kind = filled["kind"].map({"task": 0, "damage": 1}).fillna(2)
    keyed = filled.assign(_method=filled["method"].map(rank), _kind=of_kind)
    by = ["model", "task", "_method", "line", "sparsity", "setting", "_kind", "metric"]
    order = keyed.sort_values(by, kind="stable", na_position="first").index
    return filled.loc[order].reset_index(drop=True)


def bias(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of bias metrics."""
    return cells[cells["kind"].isin(BIAS_KINDS)]


def compressed(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of compressions: neither baselines nor controls."""
    return cells[(cells["method"] != BASELINE) & ~cells["control"]]


def undirected(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of controls that damage a model in no direction: neither random models nor doses of a stereotype."""
    return cells[cells["control"] & ~cells["method"].isin([RANDOM_INIT, DOSE])]


def each_pair(cells: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The cells of each model and task, by name."""
    for (model, task), group in cells.groupby(["model", "task"], sort=True):
        yield (str(model), str(task)), group


def metrics(cells: pd.DataFrame) -> list[str]:
    """Names of the metrics in reading order: task score, damage, bias."""
    rank = cells["kind"].map({"task": 0, "damage": 1}).fillna(2)
    return [name for _, name in sorted(set(zip(rank, cells["metric"], strict=True)))]


def is_seed(settings: pd.Series) -> pd.Series:
    """Whether a setting is one of several draws of a control: such rows are shown with the damage, not one by one."""
    return settings.map(lambda text: bool(_SEED.search(text))).astype(bool)


def performance(cells: pd.DataFrame) -> pd.Series:
    """Share of the task performance that each cell's checkpoint keeps, by model, task, method and setting.

    1 for baselines; missing where a task has no score, or no reference to compare it with.
    """
    kept = cells.groupby(CELL)["performance_kept"].min()
    return kept.where(kept.index.get_level_values("method") != BASELINE, 1.0)


def above_the_cut(cells: pd.DataFrame, kept: pd.Series) -> pd.DataFrame:
    """Rows of checkpoints that keep at least half of the task performance; one whose share is unknown is left out."""
    share = pd.Series([kept.get(tuple(place)) for place in cells[CELL].itertuples(index=False)], index=cells.index)
    return cells[(share.astype(float) >= KEPT).fillna(False)]


def method_name(method: str) -> str:
    """A method as readers see it."""
    return "baseline" if method == BASELINE else method.replace("_", " ").replace("+", " + ")


def _methods(cells: pd.DataFrame) -> list[str]:
    """The baseline, compressions by name, controls last."""
    found = set(zip(cells["control"], cells["method"] != BASELINE, cells["method"], strict=True))
    return list(dict.fromkeys(method for _, _, method in sorted(found)))
