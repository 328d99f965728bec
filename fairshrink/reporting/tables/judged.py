"""The table of verdicts: one row per compression and bias metric."""

from __future__ import annotations

import pandas as pd

from fairshrink.analysis.verdict_kinds import VERDICTS, slug
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.reporting import digits, marks, selection
from fairshrink.reporting.markup import Cell, Document, Grid, Marked

_COLUMNS = (
    "method",
    "setting",
    "metric",
    "verdict",
    "baseline",
    "change",
    "by lost signal",
    "residual",
    "margin",
    "undirected damage",
    "performance kept",
    "detectable",
)
_WORDS = 4


def verdicts(cells: pd.DataFrame) -> pd.DataFrame:
    """All columns of the cells of compressions and bias metrics."""
    return selection.compressed(selection.bias(cells)).reset_index(drop=True)


def document(table: pd.DataFrame, level: float) -> Document:
    """The verdicts of each model and task, with the numbers that they rest on."""
    grids = [
        Grid(f"{model}, {task}", _COLUMNS, tuple(_row(row) for _, row in rows.iterrows()), len(_COLUMNS) - _WORDS)
        for (model, task), rows in selection.each_pair(table)
    ]
    note = (
        f"Change and residual with paired {level:.0%} intervals over test items. By lost signal: the change that the "
        "loss of signal alone explains; residual: the rest. Undirected damage: where the residual of a control with "
        "this damage is expected to lie. Detectable: the smallest residual found with 80% power. "
    )
    arrows = marks.arrows_explained(row[2] for grid in grids for row in grid.rows if isinstance(row[2], str))
    return Document("verdicts", "Verdicts", tuple(grids), note + arrows + marks.legend(table["verdict"]))


def counts(cells: pd.DataFrame) -> dict[str, int]:
    """How many cells have each verdict, by its name in snake case, all verdicts included."""
    return {slug(name): int((cells["verdict"] == name).sum()) for name in VERDICTS}


def _row(row: pd.Series) -> tuple[Cell, ...]:
    verdict = row["verdict"] if isinstance(row["verdict"], str) else ""
    places = digits.decimals(row["residual"], row["residual_low"], row["residual_high"])
    if pd.isna(row["residual"]):
        places = digits.decimals(row["change"], row["change_low"], row["change_high"])
    controls = digits.MISSING
    if pd.notna(row["control_low"]) and pd.notna(row["control_high"]):
        controls = f"[{digits.number(row['control_low'], places)}, {digits.number(row['control_high'], places)}]"
    return (
        selection.method_name(row["method"]),
        row["setting"],
        f"{row['metric'].replace('_', ' ')} {marks.arrow(row['higher_is'], row['unbiased'])}",
        Marked(verdict or digits.MISSING, marks.MARKS.get(verdict, "")),
        digits.number(row["baseline"], places),
        digits.with_interval(row["change"], row["change_low"], row["change_high"]),
        digits.number(row["explained"], places),
        digits.with_interval(row["residual"], row["residual_low"], row["residual_high"]),
        digits.plain(row["margin"]),
        controls,
        digits.percent(row["performance_kept"]),
        digits.plain(row["mde"]),
    )


def headline(cells: pd.DataFrame) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """The headline numbers of a study, nested task → model → metric, for ``dvc metrics show`` and ``diff``.

    For each metric the baseline's value, the compression that changed it most (without controls) and by how much, and
    which way is more biased or better; for metrics of bias also how many compressions have each verdict.
    """
    tree: dict[str, dict[str, dict[str, dict[str, object]]]] = {}
    for (model, task), group in selection.each_pair(cells):
        branch = tree.setdefault(task, {}).setdefault(model, {})
        for name in sorted(set(group["metric"])):
            rows = group[group["metric"] == name]
            baseline = rows.loc[rows["method"] == BASELINE, "value"]
            made = selection.compressed(rows)
            branch[name] = {"baseline": _finite(baseline.iloc[0]) if len(baseline) else None, **_largest(made)}
            branch[name] |= {"direction": _direction(rows)}
            if len(selection.bias(rows)):
                branch[name] |= counts(made)
    return dict(sorted(tree.items()))


def _direction(rows: pd.DataFrame) -> str:
    """Which way is more biased or better, in words."""
    known = [each for each in rows["higher_is"] if isinstance(each, str)]
    of_bias = rows["kind"].iloc[0] in BIAS_KINDS
    return marks.direction(known[0] if known else "", rows["unbiased"].mean(), of_bias=of_bias)


def _largest(rows: pd.DataFrame) -> dict[str, object]:
    known = rows[rows["change"].notna()]
    if known.empty:
        return {}
    row = known.loc[known["change"].abs().idxmax()]
    named = f"{row['method']} {row['setting']}".strip()
    return {"largest_change": _finite(row["change"]), "largest_change_by": named}


def _finite(value: float) -> float | None:
    return None if pd.isna(value) or value in (float("inf"), float("-inf")) else float(f"{value:.6g}")
