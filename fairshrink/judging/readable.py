"""Judged logs for people: a table of verdicts, one of groups, and files of all columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairshrink.analysis.residuals import DAMAGE
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting import digits, marks
from fairshrink.reporting.plain import grid
from fairshrink.reporting.wording import p_value


def text(cells: pd.DataFrame, results: pd.DataFrame, level: float) -> str:
    """Each compressed model and metric: the verdict, what it rests on, and the groups."""
    judged = cells[cells["kind"].isin(BIAS_KINDS) & (cells["method"] != BASELINE) & ~cells["control"]]
    parts = [_one(row, results, level) for _, row in judged.iterrows()]
    legend = marks.legend(judged["verdict"])
    return "\n\n".join([*parts, f"{legend[:1].upper()}{legend[1:]}"])


def _one(row: pd.Series, results: pd.DataFrame, level: float) -> str:
    place = " ".join(filter(None, [str(row["method"]), str(row["setting"] or "")]))
    where = "" if row["model"] == "given" else f"{row['model']}, {row['task']}: "
    change = digits.with_interval(row["change"], row["change_low"], row["change_high"])
    lines = [
        f"{where}{place}, {row['metric']}: {row['verdict']}",
        f"  {row['statistic']} {digits.plain(row['baseline'])} to {digits.plain(row['value'])}, change {change} "
        f"({level:.0%} interval, {p_value(row['change_p_adjusted'])}), margin {digits.plain(row['margin'])}, "
        f"{row['n_items']} items; {_direction(row)}",
    ]
    if pd.notna(row["residual"]):
        what = DAMAGE if row["null_from"] == DAMAGE else "lost signal"
        residual = digits.with_interval(row["residual"], row["residual_low"], row["residual_high"])
        lines.append(
            f"  signal kept {digits.with_interval(row['kept'], row['kept_low'], row['kept_high'])}; not explained by "
            f"{what} {residual} ({p_value(row['residual_p_adjusted'])})"
        )
    lines.append(f"  because: {row['reason']}")
    return "\n".join([*lines, *_groups(row, results)])


def _direction(row: pd.Series) -> str:
    if row["higher_is"] == "better":
        return "lower is more biased"
    if row["higher_is"] == "":
        known = f"unbiased is {digits.plain(row['unbiased'])}, farther from it is more biased"
        return "no unbiased value is known" if pd.isna(row["unbiased"]) else known
    return marks.direction(row["higher_is"], row["unbiased"])


def _groups(row: pd.Series, results: pd.DataFrame) -> list[str]:
    """The headline's statistic by group, over splits as they are, unadjusted."""
    same = ["model", "task", "method", "statistic"]
    mine = results[(results[same] == row[same]).all(axis=1)]
    mine = mine[(mine["setting"].fillna("") == (row["setting"] or "")) & (mine["group"] != row["group"])]
    mine = mine[
        np.array([str(row["metric"]).startswith(name) for name in mine["metric"]], dtype=bool)
        & (mine["dataset"].fillna("") == (row["dataset"] or ""))
    ]
    mine = mine[mine["split"] == mine["split"].min()]
    if mine.empty:
        return []
    heading = ("group", "items", "baseline", "value", "change", "p (unadjusted)")
    rows = [
        (
            str(each["group"]),
            str(each["n_items"]),
            digits.plain(each["baseline_value"]),
            digits.plain(each["value"]),
            digits.with_interval(each["value"] - each["baseline_value"], each["change_low"], each["change_high"]),
            p_value(each["p_value"]),
        )
        for _, each in mine.iterrows()
    ]
    return ["", *("  " + line for line in grid([heading, *rows], 1).split("\n"))]
