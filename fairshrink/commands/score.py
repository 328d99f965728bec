"""Score one model, or the log of one, by one metric, without a study.

MODEL is a folder (a checkpoint of the workflow, or a model that transformers has saved), a GGUF file, a model of the
Hugging Face Hub (owner/name; its commit is resolved and printed, --revision pins it), or a per-item log, which needs no
model. Printed are the statistics of every group with their intervals.
"""

from __future__ import annotations

import argparse
from pathlib import Path

LOGS = (".jsonl", ".json", ".csv", ".parquet")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("model", metavar="MODEL", help="folder, owner/name on the hub, or a per-item log")
    parser.add_argument("--metric", required=True, metavar="NAME", help="one of `fairshrink list metrics`")
    parser.add_argument(
        "--data",
        metavar="ROLE=PATH",
        nargs="+",
        default=[],
        help="files by role, for metrics without data of their own",
    )
    parser.add_argument(
        "--settings", metavar="KEY=VALUE", nargs="+", default=[], help="settings of the metric, as in a study"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="number of items, in which groups keep their shares")
    parser.add_argument("--revision", metavar="COMMIT", help="commit, branch or tag on the hub (default: main)")
    parser.add_argument("--head", metavar="HEAD", help="task head of a published model; default: as its config says")
    parser.add_argument("--baseline", metavar="MODEL", help="for metrics that compare two models")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, …")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="fp32 (default) or bf16")
    parser.add_argument(
        "--columns", metavar="NAME=COLUMN", nargs="+", default=[], help="of a table: which column is what"
    )
    parser.add_argument("--select", metavar="NAME", help="of a log: which of several filters, scorers or evaluations")
    parser.add_argument("--level", type=float, default=0.95, help="level of the intervals (default: 0.95)")
    parser.add_argument("--items", metavar="FILE", help="write the per-item scores: .parquet, .csv, .jsonl or .json")
    parser.add_argument("--format", metavar="NAME", help="of --items: parquet, csv, lm-eval, inspect, every-eval-ever")
    parser.add_argument("--output", metavar="FILE", help="write the statistics: .csv, .parquet or .json")


def run(options: argparse.Namespace) -> int:
    """Score, print the table, write files. Raises UserError."""
    from fairshrink.models.libraries import importing

    with importing():
        import pandas as pd

        from fairshrink.commands.judge import pairs, plain
        from fairshrink.contracts import ALL_HEADS, BIAS_KINDS
        from fairshrink.errors import UserError
        from fairshrink.judging import tables, writing
        from fairshrink.reporting import plain as files
        from fairshrink.reporting import statistics_table
        from fairshrink.store import places

    if not 0 < options.level < 1:
        raise UserError(f"--level {options.level}: a number between 0 and 1, such as 0.95")
    if options.head is not None and options.head not in ALL_HEADS:
        raise UserError(f"--head {options.head}: one of {', '.join(ALL_HEADS)}")
    if options.items and options.format is None:
        options.format = writing.format_of(Path(options.items))
    if options.items:
        places.require_file(Path(options.items))
    if options.output:
        files.require(Path(options.output))
    module = tables.module(options.metric)
    settings = {name: plain(value) for name, value in pairs(options.settings, "--settings").items()}
    found = _from_log(options, settings) if _is_log(options.model) else [_from_model(options, settings)]
    parts = []
    for name, table, about in found:
        chosen = tables.settings_of(options.metric, table.settings)
        statistics = statistics_table.table(table.items, module, chosen, options.level)
        print(f"{name}: {about}\n")
        print(statistics_table.text(statistics, options.level, of_bias=module.KIND in BIAS_KINDS), end="\n\n")
        parts.append(statistics.assign(metric=name) if len(found) > 1 else statistics)
    if options.output:
        files.write(pd.concat(parts, ignore_index=True), Path(options.output))
    if options.items:
        if len(found) > 1:
            raise UserError(f"--items: there are several tables, {', '.join(name for name, *_ in found)}; choose one")
        ((_, table, _),) = found
        with places.whole(Path(options.items)) as new:
            writing.write(table.items, options.metric, table.settings, options.model, new, options.format)
    return 0


def _is_log(model: str) -> bool:
    return model.endswith(LOGS) and not Path(model).is_dir()


def _from_log(options: argparse.Namespace, settings: dict) -> list:
    """(name, table, what it is) of each table in a log."""
    from fairshrink.commands.judge import data, pairs
    from fairshrink.errors import UserError
    from fairshrink.judging import tables

    only_models = ("sample", "revision", "head", "baseline")
    if given := [f"--{name}" for name in only_models if getattr(options, name) is not None]:
        raise UserError(f"{options.model} is a log, which needs no model: leave {', '.join(given)} out")
    chosen = tables.Options(
        options.metric, options.select, pairs(options.columns, "--columns"), settings, data(options.data)
    )
    found = tables.with_both_parts(tables.read_all(Path(options.model), chosen))
    return [(each.entry, each, f"{options.model}, {len(each.items)} items") for each in found]


def _from_model(options: argparse.Namespace, settings: dict) -> tuple:
    from fairshrink.commands.judge import data
    from fairshrink.judging.tables import Table
    from fairshrink.scoring import one_model

    checked = one_model.settings_of(options.metric, settings, options.sample)
    choice = one_model.Choice(options.revision, options.head, options.device, options.precision)
    items, about = one_model.score(options.model, options.metric, checked, data(options.data), choice, options.baseline)
    table = Table(options.metric, options.metric, items, {}, settings=checked.model_dump(mode="json"))
    return options.metric, table, about
