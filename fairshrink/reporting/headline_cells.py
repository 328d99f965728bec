"""The table of cells from headlines alone: without nulls, residuals and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.analysis.cells import CELL, cells
from fairshrink.analysis.verdicts import verdicts
from fairshrink.reporting import digits

_WHOLE = ["params", "bytes"]
_JUDGED = ["task_score", "task_score_baseline", "task_score_random", "skill_kept"]


def from_headlines(rows: pd.DataFrame, about: Mapping[str, Any]) -> pd.DataFrame:
    """`results_file.CELLS` of the headlines (`analysis.cells.headlines`), as far as they can be known from them.

    An interval is there for one split and where it contains its value.
    """
    summary = cells(rows)
    keys = [*CELL, "metric"]
    first = rows.groupby(keys, sort=False).first()
    ledger = rows.groupby(CELL, sort=False)[list(results_file.LEDGER)].mean()
    ledger[_WHOLE] = ledger[_WHOLE].round()
    damage = summary[summary["kind"] == "damage"].drop_duplicates(CELL).set_index(CELL)["value"]
    judged = verdicts(summary).set_index(keys)[_JUDGED]
    one = summary["n_splits"].eq(1) & digits.within(summary["low"], summary["value"], summary["high"])
    summary = summary.assign(low=summary["low"].where(one), high=summary["high"].where(one))
    made = []
    for row in summary.to_dict("records"):
        place = tuple(row[each] for each in CELL)
        name = (*place, row["metric"])
        score = judged.loc[name].to_dict() if name in judged.index else {}
        module = str(row["metric"]).partition(" (")[0]
        made.append(
            {str(key): value for key, value in row.items()}
            | ledger.loc[place].to_dict()
            | {
                "effective_bits": row["effective_bits"],
                "family": first.loc[name, "family"],
                "dataset": first.loc[name, "dataset"],
                "group": first.loc[name, "group"],
                "method_family": about["methods"][row["method"]],
                "module": about["metrics"][module]["module"],
                "damage": damage.get(place),
                "task_score": score.get("task_score"),
                "task_score_baseline": score.get("task_score_baseline"),
                "task_score_reference": score.get("task_score_random"),
                "performance_kept": score.get("skill_kept"),
            }
        )
    return results_file.frame(made, results_file.CELLS)
