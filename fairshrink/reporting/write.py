"""The whole analysis: from the scores of a study to its tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairshrink.analysis import results, results_file
from fairshrink.reporting import figures, tables


def aggregate(spec: Mapping[str, Any], log: Callable[[str], None] = lambda line: None) -> None:
    """Write everything that `outputs.outputs` names. Needs scores and provenance, no checkpoint."""
    tables_folder, figures_folder = Path(spec["out"]), Path(spec["figures"])
    tables_folder.mkdir(parents=True, exist_ok=True)
    figures_folder.mkdir(parents=True, exist_ok=True)
    log(f"reading {len(spec['scores'])} score tables of {len(spec['checkpoints'])} checkpoints")
    table = results.build(spec)
    results_file.write(table, results_file.RESULTS, tables_folder / "results.parquet", results.about(spec))
    results_file.write(results.measurements(spec), results_file.MEASUREMENTS, tables_folder / "measurements.parquet")
    log(f"{len(table)} rows of results; writing tables and figures")
    tables.write(tables_folder / "results.parquet", tables_folder)
    figures.write(tables_folder / "results.parquet", figures_folder)
