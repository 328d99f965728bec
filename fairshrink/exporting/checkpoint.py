"""A checkpoint for people who do not have fairshrink: a folder in a format of theirs, with a model card."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshrink.errors import UserError
from fairshrink.exporting import format as formats
from fairshrink.store import checked, places

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.exporting.written import Written

LEDGER = {
    "params": "parameters",
    "zero_fraction_prunable": "zeros among prunable weights",
    "effective_bits": "bits per weight as stored",
    "bytes": "bytes of the compressed form",
    "flops_per_token": "operations per token",
    "cache_bytes_per_token": "bytes of keys and values per token",
}


def export(
    checkpoint: Path | str,
    folder: Path,
    study: Path | str | None = None,
    *,
    form: str = formats.DEFAULT,
    weights: str | None = None,
) -> Written:
    """Write ``folder``, which must not exist; nothing is left of it if anything fails. Raises UserError.

    ``form``: the name of a format; ``weights``: one of its types of weights, by default its first.
    """
    from fairshrink.models import checkpoint as checkpoints

    source = Path(checkpoint)
    if folder.exists():
        raise UserError(f"{folder} exists already: name a new folder")
    if not (source / "checkpoint.json").is_file():
        raise UserError(f"{source}: not a checkpoint; name a folder in results/baselines or results/compressed")
    if form not in formats.names():
        raise UserError(f"there is no format '{form}'; write one of {', '.join(formats.names())}")
    writer = formats.load(form)
    weights = weights or writer.WEIGHTS[0]
    if weights not in writer.WEIGHTS:
        raise UserError(f"{form} has no weights '{weights}'; write one of {', '.join(writer.WEIGHTS)}")
    places.require_folder(folder)
    record = _record(source)
    checked.as_recorded(source)
    scores = _scores(study, record) if study else None
    building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    building.mkdir(parents=True)
    try:
        written = writer.write(checkpoints.load(source), building, weights)
        (building / "README.md").write_text(card(source.name, record, scores, written.form), encoding="utf-8")
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return written


def card(name: str, record: dict[str, Any], scores: DataFrame | None, form: str) -> str:
    """The model card: ``form`` of the weights, where they come from, what compression did, what a study measured."""
    identity = record.get("identity", {})
    lines = [f"# {name}", "", form, "", "## Recipe", ""]
    lines += [f"- {what}: {identity[key]}" for key, what in _IDENTITY.items() if identity.get(key) not in (None, "")]
    lines += _settings(record)
    lines += [f"- key of the checkpoint: {record.get('key', 'unknown')}"]
    if commit := record.get("made", {}).get("git_commit"):
        lines += [f"- made by fairshrink at commit {commit}"]
    ledger = record.get("ledger", {})
    if ledger:
        lines += ["", "## Ledger", "", "| | |", "|---|---:|"]
        lines += [f"| {what} | {_number(ledger[key])} |" for key, what in LEDGER.items() if key in ledger]
    if scores is not None and len(scores):
        lines += ["", "## Bias and task scores", "", "| metric | statistic | group | value | 95% interval | baseline |"]
        lines += ["|---|---|---|---:|---:|---:|"]
        lines += [_row(each) for each in scores.to_dict("records")]
    return "\n".join(lines) + "\n"


_IDENTITY = {
    "model": "model",
    "task": "task",
    "split": "split",
    "seed": "seed",
    "method": "method",
    "setting": "setting",
}


def _settings(record: dict[str, Any]) -> list[str]:
    """All settings of the method, those with defaults too; of a chain those of its last step."""
    made = record.get("parts", {}).get("params", {})
    settings = made.get("settings") if record.get("stage") == "compress" else None
    if not settings:
        return []
    texts = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return [f"- all settings of {made['method']}: {texts}"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _row(each: dict[str, Any]) -> str:
    from fairshrink.reporting import digits, escaping

    names = " | ".join(escaping.markdown(str(each[key])) for key in ("metric", "statistic", "group"))
    interval = (
        f"{digits.plain(each['ci_low'])} to {digits.plain(each['ci_high'])}" if each["ci_low"] == each["ci_low"] else ""
    )
    return f"| {names} | {digits.plain(each['value'])} | {interval} | {digits.plain(each['baseline_value'])} |"


def _record(source: Path) -> dict[str, Any]:
    try:
        record = json.loads((source / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{source}/provenance.json cannot be read ({error}): restore the checkpoint") from error
    return record if isinstance(record, dict) else {}


def _scores(study: Path | str, record: dict[str, Any]) -> DataFrame:
    """The rows of a study's results that have the checkpoint's key."""
    from fairshrink.analysis import results_file
    from fairshrink.planning import grid, studies

    results = Path(grid.expand(studies.load(str(study))).tables.path) / "tables" / "results.parquet"
    if not results.is_file():
        raise UserError(f"{results}: there are no such results; run the study (`make`), or leave --study out")
    with results_file.readable(results):
        found = results_file.read(results)[0]
    found = found[found["key"] == record.get("key")]
    if found.empty:
        raise UserError(f"{study}: its results say nothing of this checkpoint; leave --study out, or name its own")
    return found
