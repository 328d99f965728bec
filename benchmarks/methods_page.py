"""The figure and the tables of docs/methods.md, from the tables of a study that was run.

    .venv/bin/python benchmarks/methods_page.py --study configs/methods.yaml

reads `cells.parquet` of the study's results (of `--tables FOLDER`, where it is given) and writes docs/methods.png, the
rows behind it as docs/methods/cells.csv, and the tables between the markers of docs/methods.md: every method by bytes
on disk, and methods that train beside what they are compared with, whose items are paired.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.contracts import BASELINE, BIAS_KINDS, CONTROLS
from fairshrink.errors import UserError
from fairshrink.planning import grid, studies
from fairshrink.reporting import digits, selection
from fairshrink.reporting.figures import frame
from fairshrink.reporting.style import COLORS, GRAY, styled
from fairshrink.study.jobs import AggregateJob
from fairshrink.study.study import Study

PAGE, FIGURE, ROWS = Path("docs/methods.md"), Path("docs/methods.png"), Path("docs/methods/cells.csv")
START, END = "<!-- {}: benchmarks/methods_page.py writes it -->", "<!-- end of {} -->"
SHAPES = "os^DvP<>Xhd8*"
PAIRS = (
    ("quantization_aware_training bits=4", "int4_weight_only embeddings=False"),
    ("quantization_aware_training bits=3", "linear_quantization bits=3"),
    ("quantization_aware_training bits=2", "linear_quantization bits=2"),
    ("magnitude_layerwise+recovery", "magnitude_layerwise sparsity=0.5,pattern=2:4"),
    ("wanda+recovery+int8_weight_only", "wanda sparsity=0.6"),
    ("soft_labels alpha=0.5", "soft_labels alpha=1"),
)
"""What trains, and the same without training, or without a teacher; of the task `sentiment`."""


def main() -> int:
    """Write the files. UserError where the study has no results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="configs/methods.yaml", help="study file")
    parser.add_argument("--tables", type=Path, help="folder with cells.parquet; by default the study's results")
    options = parser.parse_args()
    study = studies.load(options.study)
    folder = options.tables or Path(grid.expand(study).tables.path) / "tables"
    if not (folder / "cells.parquet").is_file():
        raise UserError(f"{folder}/cells.parquet is not there: run the study, or name a folder by --tables")
    table = wide(selection.texts(pd.read_parquet(folder / "cells.parquet")))
    ROWS.parent.mkdir(exist_ok=True)
    table.to_csv(ROWS, index=False, float_format="%.6g")
    with styled():
        drawn(table).savefig(FIGURE)
    text = PAGE.read_text(encoding="utf-8")
    for (model, task), rows in table.groupby(["model", "task"], sort=False):
        text = replaced(text, f"the table of {model}, {task}", grid_of(rows))
    PAGE.write_text(replaced(text, "the table of training", training(study)), encoding="utf-8")
    return 0


def wide(cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each baseline and compression: size, task score, damage, the headline of bias and its verdict."""
    place = ["model", "task", "method", "setting"]
    mine = cells[cells["method_family"] != CONTROLS]
    table = mine.drop_duplicates(place)[[*place, "method_family", "bytes", "effective_bits", "performance_kept"]]
    for name, kinds_of in {"score": ("task",), "damage": ("damage",), "bias": BIAS_KINDS}.items():
        columns = {each: f"{name}{rest}" for each, rest in (("value", ""), ("low", "_low"), ("high", "_high"))}
        extra = ["metric", "verdict"] if name == "bias" else []
        part = mine[mine["kind"].isin(kinds_of)][[*place, *columns, *extra]]
        table = table.merge(part.rename(columns=columns), on=place, how="left")
    table["method"] = table["method"].where(~table["setting"].str.contains("pattern=2:4"), table["method"] + " 2:4")
    first = table["method"].eq(BASELINE)
    order = table.assign(first=~first).sort_values(["model", "task", "first", "bytes"], kind="stable")
    return order.drop(columns="first").reset_index(drop=True)


def drawn(table: pd.DataFrame) -> Figure:
    """Rows of panels: task score, damage, bias; a column for each model on its task; the larger, the further right."""
    pairs = list(table.groupby(["model", "task"], sort=False))
    families = [each for each in dict.fromkeys(table["method_family"]) if each != "baseline"]
    colors = dict(zip(sorted(families), COLORS, strict=False))
    shapes = shapes_of(table)
    figure = Figure(figsize=(7.4 * len(pairs), 11.5), layout="constrained")
    panels = figure.subplots(3, len(pairs), squeeze=False)
    for column, ((model, task), rows) in enumerate(pairs):
        bias = str(rows["metric"].dropna().iloc[0]).replace("_", " ")
        heads = ("task score", "damage: distance from the baseline's outputs", f"bias: {bias}")
        for axes, name, head in zip(panels[:, column], ("score", "damage", "bias"), heads, strict=True):
            axes.set_title(f"{model}, {task}: {head}" if name == "score" else head)
            axes.set_xlabel("size on disk (MB)")
            points(axes, rows, name, colors, shapes)
    handles = legend(table, colors, shapes)
    figure.legend(*zip(*handles, strict=True), loc="outside lower center", ncols=4 * len(pairs), fontsize=7.5)
    return figure


def shapes_of(table: pd.DataFrame) -> dict[str, str]:
    """A shape for each method, in turn within its family."""
    found = {}
    for _, rows in table.groupby("method_family"):
        found |= {name: SHAPES[i % len(SHAPES)] for i, name in enumerate(sorted(set(rows["method"])))}
    return found


def points(axes, rows: pd.DataFrame, name: str, colors: Mapping[str, str], shapes: Mapping[str, str]) -> None:
    """Every compression as a point, settings of a method joined; hollow where bias is not measurable."""
    start = rows[rows["method"] == BASELINE].iloc[0]
    axes.axhline(start[name], color=GRAY, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    axes.plot(start["bytes"] / 1e6, start[name], "s", color="black", markersize=6, zorder=4)
    for (family, method), mine in rows[rows["method"] != BASELINE].groupby(["method_family", "method"], sort=False):
        mine = mine.sort_values("bytes")
        style = {"color": colors[family], "marker": shapes[method], "markersize": 6, "linewidth": 0.9, "alpha": 0.9}
        axes.plot(mine["bytes"] / 1e6, mine[name], zorder=3, **style)
        gone = mine[mine["verdict"] == kinds.NOT_MEASURABLE]
        axes.plot(gone["bytes"] / 1e6, gone[name], **style | {"linestyle": "", "markerfacecolor": "white"}, zorder=5)
        if name == "bias":
            low, high = mine[name] - mine["bias_low"], mine["bias_high"] - mine[name]
            bars = {"fmt": "none", "ecolor": colors[family], "elinewidth": 0.5, "alpha": 0.5}
            axes.errorbar(mine["bytes"] / 1e6, mine[name], yerr=[low.clip(0), high.clip(0)], **bars)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(frame.PlainNumbers())
    axes.xaxis.set_minor_formatter(frame.PlainNumbers(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


def legend(table: pd.DataFrame, colors: Mapping[str, str], shapes: Mapping[str, str]) -> list[tuple[Line2D, str]]:
    """The baseline, then the methods family by family."""
    handles = [(Line2D([], [], marker="s", linestyle="", color="black"), "uncompressed")]
    named = table[table["method"] != BASELINE].drop_duplicates("method").sort_values(["method_family", "method"])
    for _, row in named.iterrows():
        line = Line2D([], [], marker=shapes[row["method"]], color=colors[row["method_family"]], linewidth=0.9)
        handles.append((line, row["method"].replace("_", " ")))
    hollow = Line2D([], [], marker="o", linestyle="", color=GRAY, markerfacecolor="white")
    return [*handles, (hollow, "hollow: bias not measurable")]


def grid_of(rows: pd.DataFrame) -> str:
    """A Markdown table, the smallest first after the baseline."""
    bias = str(rows["metric"].dropna().iloc[0]).replace("_", " ")
    head = ["method", "setting", "MB", "bits per weight", "task score", "damage", bias, "verdict"]
    lines = [head, ["---", "---", *["---:"] * 5, "---"]]
    for _, row in rows.iterrows():
        bounds = ((each, f"{each}_low", f"{each}_high") for each in ("score", "damage", "bias"))
        texts = [digits.with_interval(*(row[name] for name in each)) for each in bounds]
        method = "*uncompressed*" if row["method"] == BASELINE else row["method"].replace("_", " ")
        sizes = [digits.plain(row["bytes"] / 1e6), digits.plain(row["effective_bits"])]
        lines.append([method, str(row["setting"]), *sizes, *texts, row["verdict"] if pd.notna(row["verdict"]) else ""])
    return "\n".join("| " + " | ".join(each) + " |" for each in lines)


def training(study: Study) -> str:
    """Squared errors of the items of `sentiment`, and their paired difference with a 95% interval."""
    scored = scores(study)
    lines = [["trained", "without", "items", "squared error", "without", "difference", "better"]]
    lines.append(["---", "---", *["---:"] * 4, "---"])
    for mine, other in PAIRS:
        found = [next((scored[name] for name in scored if _is(name, each)), None) for each in (mine, other)]
        if found[0] is None or found[1] is None:
            continue
        errors = [(each["label"] - each["prediction"]) ** 2 for each in found]
        change = errors[0] - errors[1]
        half = 1.96 * change.std(ddof=1) / len(change) ** 0.5
        low, high = change.mean() - half, change.mean() + half
        better = "yes" if high < 0 else "no" if low > 0 else "not resolved"
        means = [digits.plain(each.mean()) for each in errors]
        names = [each.replace("_", " ") for each in (mine, other)]
        lines.append([*names, str(len(change)), *means, digits.with_interval(change.mean(), low, high), better])
    if len(lines) == 2:
        return "*No checkpoint that was trained is here: the study was run without them.*"
    return "\n".join("| " + " | ".join(each) + " |" for each in lines)


def _is(name: str, wanted: str) -> bool:
    """Whether a method and its setting are those wanted, which may leave parts of the setting out."""
    method, _, setting = name.partition(" ")
    wanted_method, _, parts = wanted.partition(" ")
    return method == wanted_method and set(filter(None, parts.split(","))) <= set(setting.split(","))


def scores(study: Study) -> dict[str, pd.DataFrame]:
    """Items of the task score on `sentiment` that are there, by method and setting, in one order."""
    job = grid.expand(study).tables.job
    assert isinstance(job, AggregateJob)
    identities = {each.key: each.identity for each in job.checkpoints}
    found = {}
    for score in job.scores:
        identity = identities[score.checkpoint]
        if score.metric == "task_score" and identity.task == "sentiment" and Path(score.path).is_file():
            items = pd.read_parquet(score.path).sort_values("item").reset_index(drop=True)
            found[f"{identity.method} {identity.setting}"] = items
    return found


def replaced(text: str, name: str, block: str) -> str:
    """The text with the block of a name made anew. UserError if a marker is missing."""
    start, end = START.format(name), END.format(name)
    if text.count(start) != 1 or text.count(end) != 1:
        raise UserError(f"{PAGE}: it needs one line {start!r} and one line {end!r}")
    return f"{text.partition(start)[0]}{start}\n{block}\n{end}{text.partition(end)[2]}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
