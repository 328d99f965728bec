"""All readable tables, made only from ``results.parquet``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.analysis.cells import CELL, cells, headlines
from fairshrink.analysis.verdicts import LOST, REAL, agreement, verdicts
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting import markup, page
from fairshrink.reporting.overview import numbers, overview


def write(results: Path, folder: Path) -> None:
    """Write every table into ``folder`` from the results table at ``results``."""
    table, about = results_file.read(results)
    rows = headlines(table, about)
    summary = cells(rows)
    judged = verdicts(summary)
    agreed = agreement(rows, about["level"], about["resamples"])
    _csv(judged, folder / "verdicts.csv")
    _csv(agreed, folder / "agreement.csv")
    _csv(bias_by_sparsity(summary), folder / "bias_by_sparsity.csv")
    headline_json = json.dumps(headline(summary, judged), indent=1, ensure_ascii=False)
    (folder / "headline.json").write_text(headline_json + "\n", encoding="utf-8")
    overviews = []
    for task in sorted(set(table["task"])):
        made = overview(summary, judged, task, about)
        overviews.append(made)
        _csv(numbers(summary, judged, task), folder / f"overview_{task}.csv")
        (folder / f"overview_{task}.md").write_text(markup.markdown(made), encoding="utf-8")
        (folder / f"overview_{task}.tex").write_text(markup.latex(made), encoding="utf-8")
    html = page.page(overviews, judged, agreed, about)
    (folder / "overview.html").write_text(html, encoding="utf-8")


def bias_by_sparsity(cells: pd.DataFrame) -> pd.DataFrame:
    """Long table for plots: bias headlines of the baseline (sparsity 0) and of every cell that has a sparsity."""
    bias = cells[cells["kind"].isin(BIAS_KINDS) & ((cells["method"] == BASELINE) | cells["sparsity"].notna())]
    bias = bias.assign(sparsity=bias["sparsity"].fillna(0.0))
    columns = [*CELL, "metric", "sparsity", "value", "low", "high", "unbiased", "random", "n_splits"]
    order = ["model", "task", "metric", "method", "sparsity", "setting"]
    return bias[columns].sort_values(order, kind="stable")


def headline(cells: pd.DataFrame, verdicts: pd.DataFrame) -> dict[str, Any]:
    """The headline numbers of a study, nested task → model → metric, for ``dvc metrics show`` and ``diff``.

    For each metric the baseline's value, the compression that changed it most (without controls) and by how much; for
    bias metrics also how many changes are real or explained by lost task performance.
    """
    tree: dict[str, Any] = {}
    for (task, model), group in cells.groupby(["task", "model"]):
        branch = tree.setdefault(task, {}).setdefault(model, {})
        baseline = group[group["method"] == BASELINE].set_index("metric")["value"]
        for name in sorted(set(group["metric"])):
            of_metric = group[(group["metric"] == name) & ~group["control"] & (group["method"] != BASELINE)]
            branch[name] = {"baseline": _finite(baseline.get(name))} | _largest(of_metric)
            if group.loc[group["metric"] == name, "kind"].isin(BIAS_KINDS).all():
                branch[name] |= _tally(verdicts, task, model, name)
    return tree


def _largest(rows: pd.DataFrame) -> dict[str, Any]:
    known = rows[rows["change"].notna()]
    if known.empty:
        return {}
    row = known.loc[known["change"].abs().idxmax()]
    return {"largest_change": _finite(row["change"]), "largest_change_by": f"{row['method']} {row['setting']}".strip()}


def _tally(verdicts: pd.DataFrame, task: str, model: str, metric: str) -> Mapping[str, int]:
    of_metric = (verdicts["task"] == task) & (verdicts["model"] == model) & (verdicts["metric"] == metric)
    mine = verdicts.loc[of_metric & ~verdicts["control"].astype(bool), "verdict"]
    return {"real_changes": int((mine == REAL).sum()), "changes_with_loss_of_skill": int((mine == LOST).sum())}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
