"""Verdicts on per-item logs of other programs, without a model.

BASELINE and each COMPRESSED are logs of the same items: a file, or a folder with one file for each metric. Formats:
samples of lm-evaluation-harness (--log_samples), logs of Inspect in JSON, instances of Every Eval Ever, CSV and Parquet
with named columns, and what `export-items` writes. A folder of `export-items` alone is judged as a whole.

The exit status tells verdicts apart. 10: a bias changed beyond lost signal and undirected damage; else 11: one changed
as undirected damage does, or without controls of its damage; else 12: one cannot be resolved; else 13: one is not
measurable; else 14: one is only more random; else 0: no change within the margin. 1: an error; 2: wrong options.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("baseline", metavar="BASELINE", help="log of the uncompressed model, or an exported study")
    parser.add_argument("compressed", metavar="COMPRESSED", nargs="*", help="logs of the compressed models")
    parser.add_argument(
        "--controls", metavar="LOG", nargs="+", default=[], help="logs of the same model with undirected damage"
    )
    parser.add_argument(
        "--damage", metavar="LOG=NUMBER", nargs="+", default=[], help="how far each log's model is from the baseline"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="a metric, or paired_share, paired_gap; default: as the log says"
    )
    parser.add_argument(
        "--columns", metavar="NAME=COLUMN", nargs="+", default=[], help="which column of a table has which meaning"
    )
    parser.add_argument("--select", metavar="NAME", help="which of several filters, scorers or evaluations in a log")
    parser.add_argument(
        "--settings", metavar="KEY=VALUE", nargs="+", default=[], help="settings of the metric, as in a study"
    )
    parser.add_argument(
        "--data", metavar="ROLE=PATH", nargs="+", default=[], help="the benchmark's files that a log does not carry"
    )
    parser.add_argument(
        "--margin", metavar="[METRIC=]NUMBER", nargs="+", default=[], help="the smallest change that matters"
    )
    parser.add_argument("--level", type=float, help="level of the intervals (default: 0.95)")
    parser.add_argument(
        "--shared-items", action="store_true", help="judge the items that all logs have, and say how many are left out"
    )
    parser.add_argument("--output", metavar="FILE", help="write the cells too: .csv, .parquet or .json")
    parser.add_argument(
        "--results", metavar="FILE", help="write all statistics and groups too: .csv, .parquet or .json"
    )


def run(options: argparse.Namespace) -> int:
    """Judge, print the tables, write files; the exit status is that of the verdicts. Raises UserError."""
    from fairshrink.judging import call as judging
    from fairshrink.judging import readable
    from fairshrink.judging.judge import exit_status
    from fairshrink.reporting import plain as files

    for path in filter(None, (options.output, options.results)):
        files.require(Path(path))
    found = judging.judge(
        options.baseline,
        options.compressed,
        controls=options.controls,
        damage={name: _number(value, "--damage") for name, value in pairs(options.damage, "--damage").items()},
        metric=options.metric,
        columns=pairs(options.columns, "--columns"),
        select=options.select,
        settings={name: plain(value) for name, value in pairs(options.settings, "--settings").items()},
        data=data(options.data),
        margins=_margins(options.margin),
        level=options.level,
        shared_items=options.shared_items,
    )
    for name, table in (("output", found.cells), ("results", found.results)):
        if getattr(options, name):
            files.write(table, Path(getattr(options, name)))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    print(readable.text(found.cells, found.results, found.level))
    return exit_status(found.verdicts)


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` each; UserError for anything else."""
    from fairshrink.errors import UserError

    found: dict[str, str] = {}
    for each in given:
        name, separator, value = each.rpartition("=") if option == "--damage" else each.partition("=")
        if not separator or not name or not value:
            raise UserError(f"{option} {each}: write NAME=VALUE")
        if name in found:
            raise UserError(f"{option} {each}: {name} is given twice")
        found[name] = value
    return found


def data(given: list[str]) -> dict[str, list[Path]]:
    """Files by role; a role may be given several times. UserError for anything but ROLE=PATH."""
    from fairshrink.errors import UserError

    found: dict[str, list[Path]] = defaultdict(list)
    for each in given:
        role, separator, path = each.partition("=")
        if not separator or not role or not path:
            raise UserError(f"--data {each}: write ROLE=PATH")
        found[role].append(Path(path))
    return dict(found)


def plain(text: str) -> Any:
    """A value as YAML reads it."""
    import yaml

    return yaml.safe_load(text)


def _number(text: str, option: str) -> float:
    from fairshrink.errors import UserError

    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{option}: '{text}' is no number") from error


def _margins(given: Sequence[str]) -> dict[str | None, float]:
    """By metric; None for the one of all."""
    if len(given) == 1 and "=" not in given[0]:
        return {None: _number(given[0], "--margin")}
    return {name: _number(value, "--margin") for name, value in pairs(given, "--margin").items()}
