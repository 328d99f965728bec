"""Where the published report, tables and figures of the study are, and its headline numbers.

Each study has a folder of its own (results/<study>/). If another study is shown under the plain names
(results/report.html, results/tables, results/figures), this one replaces it there.

With --exit-code the exit status tells verdicts apart: 10 if a bias changed beyond lost signal and undirected damage,
else 11 if one changed as undirected damage does or without controls of its damage, else 12 if one cannot be resolved,
else 13 if one is not measurable, else 0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairshrink.analysis.verdict_kinds import VERDICTS, Verdict, exit_status, slug
from fairshrink.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")
    parser.add_argument("--exit-code", action="store_true", help="tell verdicts apart by the exit status, see above")
    parser.add_argument("--path", action="store_true", help="the path of the report alone")
    parser.add_argument("--json", action="store_true", help="the headline numbers alone, for programs")


def run(options: argparse.Namespace) -> int:
    """Show the results and print their paths. Raises UserError if they do not exist yet."""
    from fairshrink.planning import grid, studies
    from fairshrink.reporting.outputs import REPORT
    from fairshrink.store import published

    loaded = studies.load(options.study)
    tables = grid.expand(loaded).tables
    output = Path(loaded.output)
    if not published.show_study(Path(tables.path), output, loaded.name):
        raise UserError(
            f"study {loaded.name} has no results here yet ({tables.path}). `fairshrink plan --study {options.study}` "
            f"says what is missing, `make STUDY={options.study}` makes it."
        )
    if options.path:
        print(output / REPORT)
        return 0
    numbers = json.loads((output / "tables" / "headline.json").read_text(encoding="utf-8"))
    print(json.dumps(numbers, indent=1) if options.json else "\n".join(_text(loaded.name, output / REPORT, numbers)))
    return exit_status(_verdicts(numbers)) if options.exit_code else 0


def _text(study: str, page: Path, numbers: Mapping[str, Any]) -> Iterator[str]:
    yield f"study {study}"
    yield ""
    yield f"  {page}"
    for folder, what in (("tables", "overview_*.md"), ("tables", "results.parquet"), ("figures", "*.svg")):
        yield from (f"  {path}" for path in sorted((page.parent / folder).glob(what)))
    for task, models in numbers.items():
        for model, metrics in models.items():
            yield ""
            yield f"{model}, {task}: {'baseline':>{max(1, 36 - len(model) - len(task))}}  largest change"
            yield from (_line(name, each) for name, each in metrics.items())


def _line(name: str, each: Mapping[str, Any]) -> str:
    baseline = "" if each.get("baseline") is None else f"{each['baseline']:.4g}"
    text = f"  {name:<26}{baseline:>10}"
    if "largest_change" in each:
        text += f"  {each['largest_change']:+.4g} ({each['largest_change_by']})"
    counts = [f"{each[slug(verdict)]} {verdict}" for verdict in VERDICTS if each.get(slug(verdict))]
    return "; ".join(part for part in (text, ", ".join(counts), each.get("direction")) if part)


def _verdicts(numbers: Mapping[str, Any]) -> set[Verdict]:
    """Those that occur."""
    metrics = [metric for models in numbers.values() for each in models.values() for metric in each.values()]
    return {verdict for verdict in VERDICTS for metric in metrics if metric.get(slug(verdict))}
