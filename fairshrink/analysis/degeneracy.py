"""A bias score that is a function of task performance measures task performance: the alarm for that."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairshrink.contracts import BIAS_KINDS

ALARM = 0.99
LEAST = 5
"""Fewer checkpoints can lie on a line by chance."""
COLUMNS = ["model", "task", "metric", "n_checkpoints", "correlation", "alarm", "statement"]


def degeneracy(cells: pd.DataFrame) -> pd.DataFrame:
    """Pearson's correlation of each bias metric's value with the task score, over all cells of a model and task.

    Controls and the baseline count too: a metric that is an identity of the task score is one on them as well.
    """
    rows = []
    bias = cells[cells["kind"].isin(BIAS_KINDS)]
    for (model, task, metric), group in bias.groupby(["model", "task", "metric"]):
        known = group[["value", "task_score"]].dropna().to_numpy(dtype=float)
        varies = len(known) >= LEAST and (np.ptp(known, axis=0) > 1e-12).all()
        r = float(np.corrcoef(known, rowvar=False)[0, 1]) if varies else float("nan")
        alarm = abs(r) >= ALARM
        rows.append([model, task, metric, len(known), r, alarm, _statement(r, len(known), alarm)])
    return pd.DataFrame(rows, columns=COLUMNS)


def _statement(r: float, n: int, alarm: bool) -> str:
    if alarm:
        return "a function of task performance: read it as that"
    return (
        "no function of task performance" if r == r else f"not known ({n} checkpoints with both, or one does not vary)"
    )
