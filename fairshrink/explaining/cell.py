"""Where a number of the final tables comes from: the artifacts behind it, the commit and machine that made each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairshrink.analysis import results_file
from fairshrink.errors import UserError
from fairshrink.explaining.records import Record
from fairshrink.planning.artifact import Artifact
from fairshrink.study.jobs import EvaluateJob
from fairshrink.study.mistakes import suggestion

IDENTITY = ("model", "task", "split", "method", "setting", "sparsity", "metric", "dataset", "group", "statistic")
MAX_ROWS = 12


def parse(conditions: list[str], table: Any) -> Any:
    """Rows of the results that meet all of ``column=value``. Raises UserError with the known names."""
    for each in conditions:
        column, separator, wanted = each.partition("=")
        if not separator or column not in table.columns:
            raise UserError(f"--cell {each}: write column=value; {suggestion(column, table.columns)}")
        texts = table[column].map(_text)
        if not (texts == _number(wanted)).any():
            raise UserError(f"--cell {each}: no row has this {column}; {suggestion(wanted, set(texts))}")
        table = table[texts == _number(wanted)]
    return table


def _text(value: Any) -> str:
    return "" if value is None or value != value else _number(str(value))


def _number(text: str) -> str:
    """Numbers in one form (0.50 and .5 as 0.5); other text unchanged."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def describe(rows: Any, grid: Mapping[str, Artifact], records: list[Record]) -> dict[str, Any]:
    """The rows' values and every artifact that they were computed from, upstream last."""
    by_key: dict[str, list[Artifact]] = {}
    for artifact in grid.values():
        by_key.setdefault(artifact.key, []).append(artifact)
    here = {record.path: record.value for record in records}
    wanted = {(row.key, row.metric) for row in rows.itertuples()}
    scores = [
        artifact
        for artifact in grid.values()
        if artifact.stage == "evaluate" and (_scored(artifact, grid), artifact.name) in wanted
    ]
    chain: dict[str, Artifact] = {}
    pending = list(scores)
    while pending:
        artifact = pending.pop(0)
        chain[artifact.path] = artifact
        pending += [grid[path] for path in artifact.inputs.values() if path not in chain]
    # A control that is not stored has no artifact: what its scores record is not about the one that they are made from.
    copies = {
        score.inputs["checkpoint"]: here[score.path]["checkpoint"]
        for score in scores
        if score.path in here and _scored(score, grid) == grid[score.inputs["checkpoint"]].key
    }
    columns = [name for name in (*IDENTITY, "value", "ci_low", "ci_high", "n_items") if name in rows.columns]
    return {
        "rows": rows[columns].to_dict("records"),
        "artifacts": [_provenance(artifact, here.get(path) or copies.get(path)) for path, artifact in chain.items()],
    }


def _scored(score: Artifact, grid: Mapping[str, Artifact]) -> str:
    """The key of what was scored: a checkpoint, or a control that is made of one."""
    control = score.job.control if isinstance(score.job, EvaluateJob) else None
    return control.key if control else grid[score.inputs["checkpoint"]].key


def _provenance(artifact: Artifact, record: Mapping[str, Any] | None) -> dict[str, Any]:
    made = (record or {}).get("made", {})
    return {"stage": artifact.stage, "path": artifact.path, "key": artifact.key, "known": bool(made)} | {
        name: made.get(name)
        for name in ("git_commit", "finished", "host", "device", "gpus", "wall_s", "python", "packages")
    }


def as_text(described: Mapping[str, Any]) -> str:
    """The description for people."""
    rows, lines = described["rows"], []
    for row in rows[:MAX_ROWS]:
        identity = ", ".join(f"{name} {row[name]}" for name in IDENTITY if row.get(name) not in (None, ""))
        lines += [
            identity,
            f"  {row['value']:.6g}  [{row['ci_low']:.6g}, {row['ci_high']:.6g}]  from {row['n_items']} items",
        ]
    if len(rows) > MAX_ROWS:
        lines.append(f"… and {len(rows) - MAX_ROWS} more rows; add conditions to see fewer")
    lines += ["", "computed from:"]
    for each in described["artifacts"]:
        lines.append(f"  {each['stage']}  {each['path']}")
        if not each["known"]:
            lines.append("    not on this machine, and neither is its record (`snakemake` or `dvc pull` restores both)")
            continue
        device = f"{each['device']}" + (f", {each['gpus']} GPU" if each["gpus"] else "")
        lines.append(f"    commit {each['git_commit']}, {each['finished']}, {each['wall_s']} s")
        lines.append(f"    machine {each['host']} ({device}), Python {each['python']}")
        lines.append("    " + ", ".join(f"{name} {version}" for name, version in (each["packages"] or {}).items()))
    return "\n".join(lines)


def results(file: Path) -> Any:
    """The final table. Raises UserError where there is none yet, or a damaged one."""
    import pandas as pd

    with results_file.readable(file):
        return pd.read_parquet(file)
