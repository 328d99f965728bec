"""Published results under plain names: copies of the tables and figures of a study as it is now.

The artifact ``results/published/<study>-<key>/`` contains them; ``results/<study>/`` has a copy for each study, so that
two are side by side, and ``results/tables/``, ``results/figures/`` and ``results/report.html`` are those of the study
that was run last. So going back to another branch or study shows its tables at once, and nothing is recomputed.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from fairshrink.store import artifacts
from fairshrink.store.layout import MARKER

SHOWN = "tables/provenance.json"
PLOTTED = ("sparsity", "value", "model", "method")
"""Columns of the tables for DVC's plots."""


def show_study(published: Path, output: Path, study: str) -> bool:
    """Show a result in the study's own folder below ``output``, and as the last one in ``output`` itself.

    False if it does not exist.
    """
    if not (show(published, output / study) and show(published, output)):
        return False
    _track(published / "tables", output, study)
    return True


def _track(tables: Path, output: Path, study: str) -> None:
    """Small files of a study's headline numbers under names that stay, for git and for `dvc metrics` and `dvc plots`.

    ``metrics/<study>.json``, and in ``plots/<study>/<task>/`` a table of bias by sparsity for each metric.
    """
    texts = {}
    if (tables / "headline.json").is_file():
        texts[f"metrics/{study}.json"] = (tables / "headline.json").read_text(encoding="utf-8")
    if (tables / "bias_by_sparsity.csv").is_file():
        with (tables / "bias_by_sparsity.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        for task, metric in sorted({(row["task"], row["metric"]) for row in rows}):
            buffer = io.StringIO()
            written = csv.DictWriter(buffer, PLOTTED, extrasaction="ignore", lineterminator="\n")
            written.writeheader()
            written.writerows(row for row in rows if (row["task"], row["metric"]) == (task, metric))
            texts[f"plots/{study}/{task}/{metric}.csv"] = buffer.getvalue()
    for old in (output / "plots" / study).rglob("*.csv"):
        if old.relative_to(output).as_posix() not in texts:
            old.unlink()
    for name, text in texts.items():
        path = output / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def show(published: Path, output: Path) -> bool:
    """Copy the files of a result to ``output`` and remove those of the one shown before; False if it does not exist.

    Files that belong to no result are not touched. The record of what is shown names the files of both results while
    one replaces the other, so that an interrupted call is repeated and leaves nothing of the first.
    """
    if not artifacts.exists(published):
        return False
    record = artifacts.read_provenance(published)
    before = _record(output / SHOWN)
    if before == record and all((output / name).is_file() for name in record["files"]):
        return True
    stale = set(before.get("files", ())) - set(record["files"])
    artifacts.write_json(output / SHOWN, {"files": dict.fromkeys([*stale, *record["files"]])})
    for name in stale:
        (output / name).unlink(missing_ok=True)
    for name in record["files"]:
        _copy(published / name, output / name)
    _copy(published / MARKER, output / SHOWN)
    return True


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        artifacts.listed(record)  # what is removed is named there
    except (OSError, ValueError):
        return {}
    return record


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
    shutil.copyfile(source, temporary)
    temporary.replace(target)
