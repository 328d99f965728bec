"""The most extreme occupations of Bias-NLI and Bias-STS, from per-item scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from fairshrink.reporting import digits, selection
from fairshrink.reporting.markup import Document, Grid
from fairshrink.reporting.selection import CELL

HIGHEST, LOWEST = "highest", "lowest"
COLUMNS = [*CELL, "metric", "end", "rank", "occupation", "value", "low", "high", "n_items"]


def extremes(items: pd.DataFrame, by: str, value: str, n: int, level: float = 0.95) -> pd.DataFrame:
    """The ``n`` highest and the ``n`` lowest means of column ``value`` over the groups of column ``by``.

    One row each: ``end`` ("highest" or "lowest"), ``rank`` from 1, the group under the name of ``by``, ``value`` (the
    mean), ``low`` and ``high`` (t interval over the group's items, missing for fewer than two), ``n_items``. Missing
    values are left out. No group is at both ends: of fewer than ``2 n`` groups half are at each.
    """
    known = items.dropna(subset=[value])
    grouped = known.groupby(by, sort=True)[value]
    table = grouped.agg(["mean", "sem", "size"]).reset_index()
    half = table["sem"] * special.stdtrit(np.maximum(table["size"] - 1, 1), 0.5 + level / 2)
    table = pd.DataFrame(
        {
            by: table[by],
            "value": table["mean"],
            "low": table["mean"] - half,
            "high": table["mean"] + half,
            "n_items": table["size"],
        }
    )
    highest = table.sort_values(["value", by], ascending=[False, True], kind="stable")
    lowest = table.sort_values(["value", by], kind="stable")
    ends = []
    for end, ordered, count in (
        (HIGHEST, highest, min(n, -(-len(table) // 2))),
        (LOWEST, lowest, min(n, len(table) // 2)),
    ):
        chosen = ordered.head(count)
        ends.append(chosen.assign(end=end, rank=range(1, len(chosen) + 1)))
    found = pd.concat(ends, ignore_index=True)
    return found[["end", "rank", by, "value", "low", "high", "n_items"]]


def of_checkpoints(
    scored: Sequence[tuple[tuple[str, str, str, str], pd.DataFrame]],
    metric: str,
    by: str,
    value: str,
    n: int = 5,
    level: float = 0.95,
) -> pd.DataFrame:
    """`extremes` of each cell, with ``COLUMNS``; ``scored``: (model, task, method, setting) with its items.

    Items of several splits of a cell are given in one table; the mean of each item over splits is what counts.
    """
    parts = []
    for place, items in scored:
        means = items.groupby([by, "item"], sort=True)[value].mean().reset_index()
        found = extremes(means, by, value, n, level).rename(columns={by: "occupation"})
        parts.append(found.assign(metric=metric, **dict(zip(CELL, place, strict=True))))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def document(table: pd.DataFrame, name: str, metric: str, what: str, level: float, note: str = "") -> Document:
    """One grid per model and task: each cell's occupations from the highest to the lowest; ``what``: of which value."""
    grids = []
    for (model, task), rows in table.groupby(["model", "task"], sort=True):
        lines = []
        for (method, setting), cell in rows.groupby(["method", "setting"], sort=False):
            for end in (HIGHEST, LOWEST):
                named = "; ".join(_text(row) for _, row in cell[cell["end"] == end].iterrows())
                lines.append((selection.method_name(str(method)), str(setting), end, named or digits.MISSING))
        grids.append(Grid(f"{model}, {task}", ("method", "setting", "end", "occupations"), tuple(lines), 0))
    about = (
        f"{what}: mean over the items of an occupation, [{level:.0%} interval over items]. The occupations are "
        "chosen because they are extreme: on new items their values would be less so."
    )
    title = f"{metric.replace('_', ' ')}: most extreme occupations"
    return Document(name, title, tuple(grids), " ".join(each for each in (about, note) if each))


def _text(row: pd.Series) -> str:
    return f"{row['occupation']} {digits.with_interval(row['value'], row['low'], row['high'])}"
